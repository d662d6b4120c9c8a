//! Users of a node: reloads, access rules, counters.

use std::net::SocketAddr;

use seqlane::{ClientNotice, ClientOptions, EndCode, Level, NodeOptions, OpenMode};
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::dial::{self, Refused};
use seqlane_tests::harness::{
    FREE_PORT, Harness, HarnessBuilder, NODE_KEY, Notices, Origin, SECRET, echo, was_reset,
};
use seqlane_tokio::node::{Access, User};
use seqlane_tokio::{Client, Relay};
use tokio::net::TcpStream;

const OTHER: &str = "the secret of a phone";

fn laptop() -> User {
    User::new("laptop", SECRET)
}

fn phone() -> User {
    User::new("phone", OTHER)
}

/// A node with these users and no other secret. The client of the harness is the laptop.
fn with(users: Vec<User>) -> HarnessBuilder {
    Harness::builder()
        .level(Level::Streams)
        .client_options(|options: &mut ClientOptions| options.open = OpenMode::Confirmed)
        .node_options(|options: &mut NodeOptions| options.secret = None)
        .node(move |node| node.users(users))
}

/// Another client of the node, with this secret.
async fn client(harness: &Harness, secret: &str) -> Client {
    let client = Client::builder().secret(secret).relay(Relay::direct(harness.node_url(), NODE_KEY));
    let confirmed = |options: ClientOptions| options.open(OpenMode::Confirmed);
    client.options(confirmed).socks(FREE_PORT).start().await.unwrap()
}

async fn connect(client: &Client, target: SocketAddr) -> Result<TcpStream, Refused> {
    soon(dial::socks(client.local_addr().unwrap(), target)).await
}

#[tokio::test]
async fn a_user_who_is_removed_is_cut_and_told_why_and_the_others_go_on() {
    let harness = with(vec![laptop(), phone()]).start().await;
    let other = client(&harness, OTHER).await;
    let mut notices = Notices::new(other.notices());
    let origin = Origin::echo().await;
    let mut stays = harness.connect(origin.address()).await;
    let mut goes = connect(&other, origin.address()).await.unwrap();
    assert_eq!(echo(&mut goes, b"before").await.unwrap(), b"before");
    assert_eq!(echo(&mut stays, b"before").await.unwrap(), b"before");
    harness.node.set_users(vec![laptop()]).await.unwrap();
    assert!(was_reset(&mut goes).await);
    notices.wait_for(|notice| *notice == ClientNotice::ConnectionEnded { why: EndCode::User }).await;
    assert_eq!(echo(&mut stays, b"after").await.unwrap(), b"after");
    let users = harness.node.stats().await.users;
    assert_eq!(users.keys().map(|name| &**name).collect::<Vec<_>>(), ["laptop"]);
}

#[tokio::test]
async fn a_list_that_the_node_cannot_have_changes_nothing() {
    let harness = with(vec![laptop(), phone()]).start().await;
    let error = harness.node.set_users(vec![laptop(), User::new("tablet", NODE_KEY)]).await.unwrap_err();
    assert_eq!(&*error.user, "tablet");
    let other = client(&harness, OTHER).await;
    let origin = Origin::echo().await;
    let mut socket = connect(&other, origin.address()).await.unwrap();
    assert_eq!(echo(&mut socket, b"still there").await.unwrap(), b"still there");
}

#[tokio::test]
async fn each_user_opens_what_the_rules_allow_by_name_and_by_address() {
    let (one, two) = (Origin::echo().await, Origin::echo().await);
    let allow = format!("127.0.0.0/8:{}", one.address().port());
    let access = Access::new([allow.as_str()], []).unwrap();
    let denies_loopback = Access::new([], ["127.0.0.1:*", "[::1]:*"]).unwrap();
    let users = vec![laptop().access(access), phone().access(denies_loopback)];
    let harness = with(users).start().await;
    let mut socket = harness.connect(one.address()).await;
    assert_eq!(echo(&mut socket, b"allowed").await.unwrap(), b"allowed");
    let refused = soon(dial::socks(harness.proxy(), two.address())).await;
    assert!(matches!(refused, Err(Refused::Code(2))), "{refused:?}");
    // A name is not denied, but its addresses are.
    let other = client(&harness, OTHER).await;
    let refused = soon(other.connect(("localhost", one.address().port()))).await;
    assert!(refused.unwrap_err().to_string().contains("target not allowed"));
    let stats = harness.node.stats().await;
    assert_eq!((stats.users["laptop"].opened, stats.users["laptop"].refused), (1, 1));
    assert_eq!((stats.users["phone"].opened, stats.users["phone"].refused), (0, 1));
    // Who has other rules is another user.
    harness.node.set_users(vec![laptop(), phone()]).await.unwrap();
    assert!(was_reset(&mut socket).await);
    let mut socket = harness.connect(two.address()).await;
    assert_eq!(echo(&mut socket, b"allowed").await.unwrap(), b"allowed");
}

#[tokio::test]
async fn what_users_carry_is_counted() {
    let harness = with(vec![laptop(), phone()]).start().await;
    let origin = Origin::echo().await;
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut socket, b"there and back").await.unwrap(), b"there and back");
    let stats = harness.node.stats().await;
    let laptop = &stats.users["laptop"];
    assert_eq!((laptop.opened, laptop.uplink_bytes, laptop.downlink_bytes), (1, 14, 14));
    assert_eq!((stats.stats.uplink_bytes, stats.stats.downlink_bytes), (14, 14));
    assert_eq!(stats.users["phone"], Default::default());
}

#[tokio::test]
async fn without_a_user_of_their_name_levels_0_and_1_are_refused_even_if_they_are_taken() {
    let harness = with(vec![phone()]).level(Level::Sequenced);
    let harness = harness
        .node_options(|options| options.secret = None)
        .node(|node| node.users(vec![phone()]).max_level(Level::Streams).min_level(Level::Legacy));
    let harness = harness.start().await;
    let origin = Origin::echo().await;
    assert!(soon(dial::socks(harness.proxy(), origin.address())).await.is_err());
    harness.node.set_users(vec![phone(), User::new("default", "the secret of default")]).await.unwrap();
    let mut socket = harness.connect(origin.address()).await;
    assert_eq!(echo(&mut socket, b"as default").await.unwrap(), b"as default");
    assert_eq!(harness.node.stats().await.users["default"].opened, 1);
    harness.node.set_users(vec![phone()]).await.unwrap();
    assert!(was_reset(&mut socket).await);
}
