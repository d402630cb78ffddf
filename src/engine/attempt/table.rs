//! What each step does with each thing that may come in, as the guide for maintainers shows it.
