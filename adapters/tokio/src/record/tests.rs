use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use seqlane::{ClientEvent, ClientOptions, Form, LocalEvent, RelayOptions, Secret};
use seqlane_record::{Ending, Entry, Recorded, Recording};

use super::queue::{MAX_BYTES, MAX_MESSAGES};
use super::*;

/// A new path, whose file is removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static USED: AtomicUsize = AtomicUsize::new(0);
        let number = USED.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("seqlane-record-{}-{number}", std::process::id())))
    }

    fn create(&self) -> File {
        create(&self.0).expect("a new file")
    }

    fn read(&self) -> Recorded<Client> {
        match Recording::read(std::fs::read(&self.0).expect("readable").into()).expect("a recording") {
            Recording::Client(recorded) => *recorded,
            Recording::Node(_) => panic!("a client was recorded"),
        }
    }

    fn entries(&self) -> Vec<Entry<ClientEvent>> {
        self.read().entries.map(|entry| entry.expect("readable")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn options() -> ClientOptions {
    let relay = RelayOptions::new(Secret::new("key")).form(Form::Node);
    ClientOptions::new(vec![relay]).uplink_window(256 << 20)
}

fn client(recorder: Recorder<Client>) -> RecordedMachine<Client> {
    let config = options().validate().expect("valid");
    RecordedMachine::new(Client::new(config, [7; 32], Instant::ZERO), Some(recorder), Instant::ZERO)
}

fn open(client: &mut RecordedMachine<Client>) -> FlowId {
    let target = Target::new("example.org", 80).expect("a target");
    client.open(Instant::ZERO, target, FlowKind::Tcp).expect("room for a flow")
}

#[test]
fn events_and_actions_are_in_the_file_in_order() {
    let place = Place::new();
    let (recorder, mut writer) = Recorder::to(place.create());
    let mut client = client(recorder);
    let flow = open(&mut client);
    let event = LocalEvent::Written(1);
    let misuse = client.handle(Instant::from_micros(5), ClientEvent::Local { flow, event }).unwrap_err();
    let opened = client.poll();
    drop(client);
    writer.write(&options(), [7; 32], usize::MAX).expect("it can be written");
    let entries = place.entries();
    let told = Client::record_action(&opened, &Client::mask(&options()));
    assert!(matches!(entries[0], Entry::Event { event: ClientEvent::Open { .. }, .. }));
    assert!(matches!(entries[1], Entry::Event { event: ClientEvent::Local { .. }, .. }));
    assert_eq!(
        entries[2..],
        [Entry::Refused(misuse.to_string().into()), Entry::Action(told), Entry::End(Ending::Stopped)]
    );
}

#[test]
fn a_recording_that_falls_behind_ends_with_a_note_and_the_machine_goes_on() {
    let megabyte = Bytes::from(vec![0; 1 << 20]);
    for (bytes, most) in [(megabyte, MAX_BYTES >> 20), (Bytes::from_static(b"a"), MAX_MESSAGES)] {
        let place = Place::new();
        let (recorder, mut writer) = Recorder::to(place.create());
        let mut client = client(recorder);
        let flow = open(&mut client);
        // Nobody takes anything out: within the credit that was given or not, each is a message.
        for _ in 0..2 * most {
            let event = LocalEvent::Data(bytes.clone());
            let _ = client.handle(Instant::ZERO, ClientEvent::Local { flow, event });
        }
        assert!(client.stats().opened == 1 && client.handle(Instant::ZERO, ClientEvent::Close).is_ok());
        drop(client);
        writer.write(&options(), [7; 32], usize::MAX).expect("it can be written");
        let entries = place.entries();
        assert_eq!(entries.last(), Some(&Entry::End(Ending::FellBehind)));
        // An event, and that it was refused.
        assert!((most / 2..=2 * most + 2).contains(&entries.len()), "{} of {most}", entries.len());
    }
}

#[test]
fn a_recording_ends_at_its_size_with_a_note_and_the_machine_goes_on() {
    let place = Place::new();
    let (recorder, mut writer) = Recorder::to(place.create());
    let mut client = client(recorder);
    for _ in 0..1000 {
        open(&mut client);
    }
    writer.write(&options(), [7; 32], 10_000).expect("it can be written");
    assert_eq!(place.entries().last(), Some(&Entry::End(Ending::Full)));
    assert!(std::fs::metadata(&place.0).expect("a file").len() < 10_200);
    drop(writer);
    open(&mut client);
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_takes_nothing_ends_the_recording_and_nothing_else() {
    let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let (recorder, writer) = Recorder::to(full);
    let mut client = client(recorder);
    open(&mut client);
    let thread = std::thread::spawn(move || writer.run(&options(), [7; 32]));
    thread.join().expect("the thread ends by itself");
    open(&mut client);
}

#[test]
#[cfg(unix)]
fn a_recording_is_a_new_file_that_only_its_owner_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let file = place.create();
    assert_eq!(file.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    let again = start::<Client>(&place.0, options(), [7; 32]).err().expect("it is there already");
    assert!(again.to_string().starts_with("cannot record to "), "{again}");
}
