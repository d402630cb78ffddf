//! One set of rules for every kind of client that the layer wraps. What counts is what the server saw.
#![allow(clippy::unwrap_used)] // helpers are tests too

mod outcome;
mod spec;
mod world;

mod addresses;
mod api_key;
mod by_hand;
mod create;
mod defaults;
mod foreign_ids;
mod outside;
mod reach;
mod session_id;

/// Makes each rule a test of its own in each world; the rules after `extensions:` only where a request can carry them.
macro_rules! in_every_world {
    ($($rule:ident),* $(; extensions: $($extended:ident),*)?) => {
        mod in_process {
            $(#[tokio::test(start_paused = true)]
            async fn $rule() {
                super::$rule(crate::world::World::in_process()).await;
            })*
            $($(#[tokio::test(start_paused = true)]
            async fn $extended() {
                super::$extended(crate::world::World::in_process()).await;
            })*)?
        }

        mod hyper_client {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(crate::world::World::hyper().await).await;
            })*
            $($(#[tokio::test]
            async fn $extended() {
                super::$extended(crate::world::World::hyper().await).await;
            })*)?
        }

        mod reqwest_service {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(crate::world::World::reqwest_service().await).await;
            })*
        }

        mod reqwest_middleware {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(crate::world::World::reqwest_middleware().await).await;
            })*
            $($(#[tokio::test]
            async fn $extended() {
                super::$extended(crate::world::World::reqwest_middleware().await).await;
            })*)?
        }
    };
}
use in_every_world;
