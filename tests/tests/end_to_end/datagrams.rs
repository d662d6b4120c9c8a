//! UDP through SOCKS5.

use seqlane_tests::deadline::soon;
use seqlane_tests::harness::Harness;
use seqlane_tests::harness::dial::Association;
use seqlane_tests::harness::origin::DatagramEcho;

#[tokio::test]
async fn datagrams_come_back_whole_and_under_their_address() {
    let harness = Harness::start().await;
    let (one, other) = (DatagramEcho::start().await, DatagramEcho::start().await);
    let association = soon(Association::open(harness.proxy())).await.unwrap();
    for len in [1, 1_200, 9_000] {
        for echo in [&one, &other] {
            let datagram = vec![7; len];
            association.send(echo.address(), &datagram).await.unwrap();
            let received = soon(association.receive()).await.unwrap();
            assert_eq!(received, (echo.address(), datagram));
        }
    }
}

#[tokio::test]
async fn datagrams_pass_while_a_poll_is_held() {
    let harness = Harness::start().await;
    let echo = DatagramEcho::start().await;
    let association = soon(Association::open(harness.proxy())).await.unwrap();
    let begun = tokio::time::Instant::now();
    for number in 0..20_u32 {
        association.send(echo.address(), &number.to_be_bytes()).await.unwrap();
        let (_, answer) = soon(association.receive()).await.unwrap();
        assert_eq!(answer, number.to_be_bytes());
    }
    assert!(begun.elapsed().as_secs() < 10, "one held poll takes 15 s");
}
