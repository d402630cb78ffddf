//! The same rules for every kind of client that the layer wraps. They are judged by what the server received.
#![allow(clippy::unwrap_used)] // for the helper functions

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

/// Turns each rule into one test for each world. Rules after `extensions:` run only in worlds whose requests carry extensions.
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
