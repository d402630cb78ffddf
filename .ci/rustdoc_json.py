"""What rustdoc knows of the crate with all features, as JSON."""

import json
import os
import pathlib
import subprocess
import tempfile

root = pathlib.Path(__file__).resolve().parent.parent


def load():
    with tempfile.TemporaryDirectory() as directory:
        # The JSON is unstable. Rustdoc alone is told to give it all the same, and not the build of what it documents.
        rustdoc = pathlib.Path(directory) / "rustdoc"
        rustdoc.write_text('#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n')
        rustdoc.chmod(0o755)
        subprocess.run(
            ["cargo", "rustdoc", "--locked", "--quiet", "--lib", "--all-features", "--",
             "-Z", "unstable-options", "--output-format", "json"],
            cwd=root, check=True, env=os.environ | {"RUSTDOC": str(rustdoc)})
    metadata = subprocess.run(
        ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1"],
        cwd=root, check=True, capture_output=True)
    target = pathlib.Path(json.loads(metadata.stdout)["target_directory"])
    return json.loads((target / "doc" / "sipher_session.json").read_text())
