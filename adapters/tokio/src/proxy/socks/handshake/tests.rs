use super::*;
use tokio::io::duplex;

/// Feeds `sent` to a handshake; returns its outcome and what it answered.
async fn handshake(sent: &[u8], credentials: Option<Credentials>) -> (Result<Request, SocksError>, Vec<u8>) {
    let (mut proxy, mut application) = duplex(4096);
    application.write_all(sent).await.unwrap();
    application.shutdown().await.unwrap();
    let outcome = negotiate(&mut proxy, credentials.as_ref()).await;
    drop(proxy);
    let mut answered = Vec::new();
    application.read_to_end(&mut answered).await.unwrap();
    (outcome, answered)
}

fn ann() -> Option<Credentials> {
    Some(Credentials::new("ann", "horse").unwrap())
}

const GREETING: [u8; 3] = [5, 1, 0];
const CHOSEN: [u8; 2] = [5, 0];

fn request(rest: &[u8]) -> Vec<u8> {
    [&GREETING[..], rest].concat()
}

fn refusal(code: u8) -> Vec<u8> {
    [&CHOSEN[..], &[5, code, 0, 1, 0, 0, 0, 0, 0, 0]].concat()
}

#[tokio::test]
async fn connect_takes_every_kind_of_address() {
    let domain = [&[5, 1, 0, 3, 11][..], b"example.org", &[1, 187]].concat();
    let ipv6 = [&[5, 1, 0, 4][..], &[0; 15], &[1, 0, 80]].concat();
    for (sent, host, port) in [
        (domain, "example.org", 443),
        (vec![5, 1, 0, 1, 192, 0, 2, 7, 0, 80], "192.0.2.7", 80),
        (ipv6, "::1", 80),
    ] {
        let (outcome, answered) = handshake(&request(&sent), None).await;
        assert_eq!(outcome.unwrap(), Request::Connect(Target::new(host, port).unwrap()));
        assert_eq!(answered, CHOSEN);
    }
}

#[tokio::test]
async fn bytes_behind_the_request_are_left_for_the_flow() {
    let (mut proxy, mut application) = duplex(4096);
    application.write_all(&request(&[5, 1, 0, 1, 192, 0, 2, 7, 0, 80])).await.unwrap();
    application.write_all(b"early").await.unwrap();
    negotiate(&mut proxy, None).await.unwrap();
    assert_eq!(read::<_, 5>(&mut proxy).await.unwrap(), *b"early");
}

#[tokio::test]
async fn udp_associate_needs_no_target() {
    let (outcome, _) = handshake(&request(&[5, 3, 0, 1, 0, 0, 0, 0, 0, 0]), None).await;
    assert_eq!(outcome.unwrap(), Request::UdpAssociate);
}

#[tokio::test]
async fn bind_is_not_supported() {
    let (outcome, answered) = handshake(&request(&[5, 2, 0, 1, 192, 0, 2, 7, 0, 80]), None).await;
    assert!(matches!(outcome, Err(SocksError::Command(2))));
    assert_eq!(answered, refusal(7));
}

#[tokio::test]
async fn an_unknown_address_type_is_not_supported() {
    let (outcome, answered) = handshake(&request(&[5, 1, 0, 9, 0]), None).await;
    assert!(matches!(outcome, Err(SocksError::AddressType(9))));
    assert_eq!(answered, refusal(8));
}

#[tokio::test]
async fn what_is_no_target_is_a_general_failure() {
    for sent in [
        vec![5, 1, 0, 1, 192, 0, 2, 7, 0, 0],
        vec![5, 1, 0, 3, 0, 0, 80],
        vec![5, 1, 0, 3, 2, 0xff, 0xfe, 0, 80],
    ] {
        let (outcome, answered) = handshake(&request(&sent), None).await;
        assert!(matches!(outcome, Err(SocksError::Target)));
        assert_eq!(answered, refusal(1));
    }
}

#[tokio::test]
async fn the_right_user_name_and_password_pass() {
    let sent = [&[5, 2, 0, 2, 1, 3][..], b"ann", &[5], b"horse", &[5, 1, 0, 1, 192, 0, 2, 7, 0, 80]].concat();
    let (outcome, answered) = handshake(&sent, ann()).await;
    assert_eq!(outcome.unwrap(), Request::Connect(Target::new("192.0.2.7", 80).unwrap()));
    assert_eq!(answered, [5, 2, 1, 0]);
}

#[tokio::test]
async fn a_wrong_password_does_not() {
    let sent = [&[5, 1, 2, 1, 3][..], b"ann", &[4], b"cart"].concat();
    let (outcome, answered) = handshake(&sent, ann()).await;
    assert!(matches!(outcome, Err(SocksError::Credentials)));
    assert_eq!(answered, [5, 2, 1, 1]);
}

#[tokio::test]
async fn who_cannot_authenticate_is_told_so() {
    let (outcome, answered) = handshake(&GREETING, ann()).await;
    assert!(matches!(outcome, Err(SocksError::Method)));
    assert_eq!(answered, [5, 0xff]);
}

#[tokio::test]
async fn who_insists_on_a_password_is_told_that_none_is_wanted() {
    let (outcome, answered) = handshake(&[5, 1, 2], None).await;
    assert!(matches!(outcome, Err(SocksError::Method)));
    assert_eq!(answered, [5, 0xff]);
}

#[tokio::test]
async fn a_handshake_cut_at_any_byte_is_an_error_and_no_request() {
    let whole =
        [&[5, 1, 2, 1, 3][..], b"ann", &[5], b"horse", &[5, 1, 0, 3, 11], b"example.org", &[1, 187]].concat();
    for cut in 0..whole.len() {
        let (outcome, _) = handshake(&whole[..cut], ann()).await;
        assert!(matches!(outcome, Err(SocksError::Io(_))), "cut after {cut} bytes");
    }
    assert!(handshake(&whole, ann()).await.0.is_ok());
}

#[tokio::test]
async fn other_versions_are_refused() {
    let (outcome, answered) = handshake(&[4, 1, 0, 80, 1, 2, 3, 4, 0], None).await;
    assert!(matches!(outcome, Err(SocksError::Version(4))));
    assert!(answered.is_empty());
    let (outcome, _) = handshake(&request(&[4, 1, 0, 1, 0]), None).await;
    assert!(matches!(outcome, Err(SocksError::Version(4))));
}

#[tokio::test]
async fn replies_carry_their_code_and_address() {
    for code in 0..=8 {
        let mut bytes = Vec::new();
        reply(&mut bytes, code).await.unwrap();
        assert_eq!(bytes, [5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
    }
    let mut bytes = Vec::new();
    reply_bound(&mut bytes, "[::1]:256".parse().unwrap()).await.unwrap();
    assert_eq!(bytes, [&[5, 0, 0, 4][..], &[0; 15], &[1, 1, 0]].concat());
}
