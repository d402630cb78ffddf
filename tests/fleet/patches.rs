//! Changes by several processes are merged field by field.

use std::time::Duration;

use fastrand::Rng;
use sipher_session::{Chain, PrivacyLevel, SessionDefaults, testing::Tier};

use crate::{
    flaky::Trouble,
    processes::Fleet,
    support::{SECOND, pass},
};

fn chain(chain: Chain) -> SessionDefaults {
    SessionDefaults::new().chain(chain)
}

fn level(level: PrivacyLevel) -> SessionDefaults {
    SessionDefaults::new().privacy_level(level)
}

#[tokio::test(start_paused = true)]
async fn what_others_have_set_is_not_lost_when_one_patches_another_field() {
    let mut fleet = Fleet::new();
    let first = fleet.start_many(1);
    fleet.call(&first).await;
    let change = first[0]
        .manager
        .update_defaults(level(PrivacyLevel::Maximum));
    change.await.unwrap();
    let later = fleet.start();
    later
        .manager
        .update_defaults(chain(Chain::Sui))
        .await
        .unwrap();
    pass(1.0).await;
    for process in first.iter().chain([&later]) {
        let both = level(PrivacyLevel::Maximum).chain(Chain::Sui);
        assert_eq!(process.manager.defaults(), both);
        fleet.setup.call(&process.manager).await.unwrap();
    }
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn of_two_patches_at_once_neither_is_lost() {
    for delay in [0, 100, 900] {
        let mut fleet = Fleet::new();
        let processes = fleet.start_many(3);
        fleet.call(&processes).await;
        for process in &processes {
            process.store.set(Trouble {
                delay: Duration::from_millis(delay),
                ..Trouble::default()
            });
        }
        let (one, other) = tokio::join!(
            processes[0].manager.update_defaults(chain(Chain::Sui)),
            processes[1]
                .manager
                .update_defaults(level(PrivacyLevel::Maximum)),
        );
        one.and(other).unwrap();
        pass(20.0).await;
        for process in &processes {
            let both = level(PrivacyLevel::Maximum).chain(Chain::Sui);
            assert_eq!(process.manager.defaults(), both, "{delay} ms a step");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_made_while_cut_off_does_not_override_one_made_later_but_one_made_before() {
    for is_before in [true, false] {
        let mut fleet = Fleet::new();
        let processes = fleet.start_many(2);
        fleet.call(&processes).await;
        let [cut_off, other] = &processes[..] else {
            panic!()
        };
        cut_off.store.cut();
        if is_before {
            other
                .manager
                .update_defaults(chain(Chain::Base))
                .await
                .unwrap();
            pass(30.0).await;
        }
        cut_off
            .manager
            .update_defaults(chain(Chain::Sui))
            .await
            .unwrap();
        pass(3_600.0).await;
        if !is_before {
            other
                .manager
                .update_defaults(chain(Chain::Base))
                .await
                .unwrap();
        }
        pass(60.0).await;
        cut_off.store.mend();
        pass(1.0).await;
        fleet.work(&processes, 60 * SECOND, SECOND).await;
        let last = if is_before { Chain::Sui } else { Chain::Base };
        for process in &processes {
            assert_eq!(process.manager.defaults(), chain(last.clone()));
        }
        fleet.setup.sipher.assert_every_call_had_a_session();
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_was_taken_away_stays_away_and_a_replacement_leaves_nothing() {
    let mut fleet = Fleet::new();
    let mut processes = fleet.start_many(2);
    fleet.call(&processes).await;
    let all = chain(Chain::Sui)
        .privacy_level(PrivacyLevel::Maximum)
        .default_viewing_key("0xfeed");
    processes[0].manager.update_defaults(all).await.unwrap();
    pass(1.0).await;
    let replaced = processes[1].manager.replace_defaults(chain(Chain::Base));
    replaced.await.unwrap();
    pass(1.0).await;
    processes.push(fleet.start());
    fleet.call(&processes).await;
    for process in &processes {
        assert_eq!(process.manager.defaults(), chain(Chain::Base));
    }
}

#[tokio::test(start_paused = true)]
async fn changes_are_remembered_for_as_long_as_a_process_lives_and_a_day_after() {
    let mut fleet = Fleet::new();
    let mut processes = fleet.start_many(1);
    fleet.call(&processes).await;
    processes[0]
        .manager
        .update_defaults(chain(Chain::Sui))
        .await
        .unwrap();
    fleet
        .work(&processes, 3 * 86_400 * SECOND, 60 * SECOND)
        .await;
    drop(processes.pop()); // killed
    pass(11.0 * 3_600.0).await;
    let later = fleet.start_many(1);
    fleet.call(&later).await;
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgot_the_changes_is_told_them_again() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    processes[0]
        .manager
        .update_defaults(chain(Chain::Sui))
        .await
        .unwrap();
    pass(1.0).await;
    fleet.store.clear();
    pass(20.0).await;
    let later = fleet.start_many(1);
    fleet.call(&later).await;
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
}

#[tokio::test(start_paused = true)]
async fn a_new_api_key_takes_the_changes_along_and_finds_those_of_its_own_group() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    let (one, other) = (&processes[0].manager, &processes[1].manager);
    one.update_defaults(chain(Chain::Sui)).await.unwrap();
    pass(1.0).await;
    let key = fleet.setup.sipher.api_key(Tier::Pro);
    one.set_api_key(key.as_str()).await.unwrap();
    one.update_defaults(level(PrivacyLevel::Maximum))
        .await
        .unwrap();
    assert_eq!(other.defaults(), chain(Chain::Sui), "another group now");
    let both = chain(Chain::Sui).privacy_level(PrivacyLevel::Maximum);
    let later = fleet.start_with(|builder| builder.api_key(key.as_str()));
    fleet.setup.call(&later.manager).await.unwrap();
    assert_eq!(
        later.manager.defaults(),
        both,
        "the state was carried along"
    );
    other.set_api_key(key.as_str()).await.unwrap();
    assert_eq!(other.defaults(), both, "and is looked for");
    for process in &processes {
        fleet.setup.call(&process.manager).await.unwrap();
    }
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_publication_is_refused_is_tried_for_a_bounded_time_and_again_soon() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    processes[0].store.set(Trouble {
        refuses: true,
        ..Trouble::default()
    });
    let change = processes[0].manager.update_defaults(chain(Chain::Sui));
    let change = tokio::time::timeout(30 * SECOND, change).await;
    change.unwrap().unwrap();
    processes[0].store.mend();
    // The change is tried again when the process's own claim has lapsed, and not only with the next look.
    pass(13.0).await;
    fleet.call(&processes[1..]).await;
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
}

/// Each process changes fields at random, while its connection to the store is cut and repaired at random. In the end,
/// every field has the value of its last writer, in every process.
#[tokio::test(start_paused = true)]
async fn whatever_is_cut_every_field_ends_as_its_last_writer_made_it() {
    let seed = std::env::var("CHANGE_SEED").map_or(7, |seed| seed.parse().unwrap());
    for number in 0..25 {
        let rng = &mut Rng::with_seed(seed + number);
        let mut fleet = Fleet::new();
        let mut processes = fleet.start_many(rng.usize(2..5));
        let mut last = chain(Chain::Near);
        for _ in 0..rng.usize(5..25) {
            pass(0.5 + 90.0 * rng.f64() * rng.f64()).await;
            let process = &processes[rng.usize(..processes.len())];
            match rng.u8(0..6) {
                0 => process.store.cut(),
                1 => process.store.mend(),
                2 if processes.len() < 6 => processes.push(fleet.start()),
                _ => {
                    let patch = draw(rng);
                    process
                        .manager
                        .update_defaults(patch.clone())
                        .await
                        .unwrap();
                    last = last.merged_with(&patch);
                }
            }
        }
        for process in &processes {
            process.store.mend();
        }
        fleet.work(&processes, 90 * SECOND, 5 * SECOND).await;
        processes.push(fleet.start());
        fleet.call(&processes).await;
        for process in &processes {
            assert_eq!(
                process.manager.defaults(),
                last,
                "CHANGE_SEED={}",
                seed + number
            );
        }
        fleet.setup.sipher.assert_every_call_had_a_session();
    }
}

fn draw(rng: &mut Rng) -> SessionDefaults {
    let mut patch = SessionDefaults::new();
    if rng.bool() {
        let chains = [Chain::Near, Chain::Sui, Chain::Base, Chain::Arbitrum];
        patch = patch.chain(rng.choice(chains).unwrap());
    }
    if rng.bool() {
        let levels = [PrivacyLevel::Maximum, PrivacyLevel::Standard];
        patch = patch.privacy_level(rng.choice(levels).unwrap());
    }
    if rng.bool() {
        patch = patch.default_viewing_key(format!("0x{:02x}", rng.u8(..)));
    }
    patch
}
