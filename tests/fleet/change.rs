//! A change in one process reaches the other processes.

use std::time::Duration;

use sipher_session::{
    Chain, InlineDefaults, SessionDefaults, SessionManagerBuilder,
    testing::{Fault, Target, What},
};

use crate::{
    flaky::Trouble,
    processes::Fleet,
    support::{SECOND, pass},
};

fn chain(chain: Chain) -> SessionDefaults {
    SessionDefaults::new().chain(chain)
}

#[tokio::test(start_paused = true)]
async fn a_change_of_defaults_is_followed_by_those_who_were_built_alike_and_by_no_others() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(4);
    let arbitrum = fleet.start_with(|builder| builder.defaults(chain(Chain::Arbitrum)));
    fleet.call(&processes).await;
    fleet.setup.call(&arbitrum.manager).await.unwrap();
    let change = processes[0].manager.update_defaults(chain(Chain::Sui));
    change.await.unwrap();
    pass(0.1).await;
    for process in &processes {
        fleet.setup.call(&process.manager).await.unwrap();
        assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
    }
    fleet.setup.call(&arbitrum.manager).await.unwrap();
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("arbitrum"));
    assert_eq!(fleet.setup.creates(), 3, "one for each set of defaults");
    pass(60.0).await;
    assert_eq!(
        fleet.setup.sipher.live_sessions(),
        2,
        "the older one is deleted"
    );
    // Another process changes the defaults back.
    let change = processes[1].manager.replace_defaults(chain(Chain::Near));
    change.await.unwrap();
    pass(0.1).await;
    for process in &processes {
        fleet.setup.call(&process.manager).await.unwrap();
        assert_eq!(fleet.setup.last_chain().as_deref(), Some("near"));
    }
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_as_soon_as_the_store_is_there_again() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    processes[0].store.cut();
    let change = processes[0].manager.update_defaults(chain(Chain::Sui));
    change.await.unwrap();
    fleet.setup.call(&processes[0].manager).await.unwrap();
    assert_eq!(
        fleet.setup.last_chain().as_deref(),
        Some("sui"),
        "here at once"
    );
    pass(20.0).await;
    processes[0].store.mend();
    pass(20.0).await;
    fleet.setup.call(&processes[1].manager).await.unwrap();
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
}

#[tokio::test(start_paused = true)]
async fn two_who_change_at_once_agree_in_the_end() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(3);
    fleet.call(&processes).await;
    let (one, other) = tokio::join!(
        processes[0].manager.update_defaults(chain(Chain::Sui)),
        processes[1].manager.update_defaults(chain(Chain::Arbitrum)),
    );
    one.and(other).unwrap();
    fleet
        .work(&processes, Duration::from_secs(60), SECOND)
        .await;
    let mut chains = Vec::new();
    for process in &processes {
        fleet.setup.call(&process.manager).await.unwrap();
        chains.push(fleet.setup.last_chain().unwrap());
    }
    chains.dedup();
    assert_eq!(chains.len(), 1, "{chains:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_fails_changes_nothing_here_or_elsewhere() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    fleet
        .setup
        .sipher
        .fault(Fault::new(What::Status(400)).on(Target::Create));
    let failed = processes[0]
        .manager
        .update_defaults(chain(Chain::Sui))
        .await;
    failed.unwrap_err();
    pass(20.0).await;
    for process in &processes {
        assert_eq!(process.manager.defaults(), chain(Chain::Near));
    }
    let later = fleet.start_many(1);
    fleet.call(&later).await;
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("near"));
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_also_when_nobody_waits_until_it_is() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    processes[0]
        .manager
        .replace_defaults(chain(Chain::Near))
        .await
        .unwrap();
    pass(1.0).await;
    let slow = Trouble {
        delay: 2 * SECOND,
        ..Trouble::default()
    };
    processes[0].store.set(slow);
    let change = processes[0].manager.update_defaults(chain(Chain::Sui));
    // The time is enough to create the session, and too short to tell the store.
    let given_up = tokio::time::timeout(Duration::from_millis(6_500), change).await;
    assert!(given_up.is_err());
    fleet.setup.call(&processes[0].manager).await.unwrap();
    assert_eq!(
        fleet.setup.last_chain().as_deref(),
        Some("sui"),
        "it is changed here"
    );
    processes[0].store.mend();
    pass(30.0).await;
    fleet.setup.call(&processes[1].manager).await.unwrap();
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_followed_does_not_end_the_use_of_what_there_is() {
    for what in [What::Status(400), What::Hang] {
        let mut fleet = Fleet::new();
        let mut processes = fleet.start_many(3);
        let before = fleet.call(&processes).await;
        processes[1..]
            .iter()
            .for_each(|process| process.store.cut());
        let change = processes[0].manager.update_defaults(chain(Chain::Sui));
        change.await.unwrap();
        // The session with the new defaults has ended, and no other can be created.
        processes[0].shutdown().await;
        let never = Fault::new(what.clone()).on(Target::Create).always();
        fleet.setup.sipher.fault(never);
        processes[1..]
            .iter()
            .for_each(|process| process.store.mend());
        pass(500.0).await;
        // This shutdown would delete the session if the process thought that it was the last user.
        processes.pop().unwrap().shutdown().await;
        assert_eq!(fleet.call(&processes[1..]).await, before, "{what:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_followed_without_its_session_where_defaults_in_the_body_do_as_well() {
    let mut fleet = Fleet::new();
    let inline = |builder: SessionManagerBuilder| builder.inline_defaults(InlineDefaults::Always);
    let processes = [fleet.start_with(inline), fleet.start()];
    fleet.call(&processes).await;
    let unavailable = Fault::new(What::Status(503)).on(Target::Create);
    fleet.setup.sipher.fault(unavailable.clone().always());
    let third = fleet.start_with(inline);
    third
        .manager
        .update_defaults(chain(Chain::Sui))
        .await
        .unwrap();
    pass(120.0).await;
    assert_eq!(processes[0].manager.defaults(), chain(Chain::Sui));
    // Without inline defaults, this process needs a session before it follows.
    assert_eq!(processes[1].manager.defaults(), chain(Chain::Near));
}
