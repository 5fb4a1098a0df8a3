//! A device that reports and obeys exactly as the test says.

use proto::channels;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::publish::Content;
use proto::messages::lamplighter::v1::{
    CommandReport, CommandState, Deliver, Hello, Publish, Ready, Welcome,
};

use crate::client::Client;
use crate::{Hub, Via, lamp};

/// A connected device.
pub struct Device {
    /// The connection below.
    pub client: Client,
    /// What the hub said at the start.
    pub welcome: Welcome,
    id: String,
    boot: u32,
    seq: u64,
}

/// How a device says hello.
pub fn hello(token: &str, boot: u32, ready: bool) -> Hello {
    let (token, agent) = (token.to_owned(), "test-lamp".to_owned());
    Hello { protocol: proto::PROTOCOL_VERSION, token, boot, keepalive_s: 0, ready, agent }
}

impl Device {
    /// Registered, connected in its first boot, and ready for commands.
    pub async fn start(hub: &Hub, id: &str) -> Self {
        let token = hub.register(id).await;
        Self::connect(hub, id, &token, 1).await
    }

    /// Connected in this boot, and ready for commands.
    pub async fn connect(hub: &Hub, id: &str, token: &str, boot: u32) -> Self {
        Self::with(&Via::of(hub), id, hello(token, boot, true)).await
    }

    /// Connected with a greeting of the test's own.
    pub async fn with(via: &Via, id: &str, hello: Hello) -> Self {
        let mut client = Client::dial(via).await;
        let boot = hello.boot;
        let welcome = client.greet(hello).await;
        Self { client, welcome, id: id.to_owned(), boot, seq: 0 }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name of one of its channels.
    pub fn channel(&self, kind: &channels::DeviceChannel) -> String {
        format!("{}.{}.{}", channels::PREFIX, self.id, kind.suffix)
    }

    /// Reports a number with the next sequence number, which comes back; waits for nothing.
    pub async fn report(&mut self, number: u32) -> u64 {
        let seq = self.seq + 1;
        self.report_as(0, seq, number).await;
        seq
    }

    /// Reports a number under an identity of the test's choice; boot 0 is that of the greeting.
    pub async fn report_as(&mut self, boot: u32, seq: u64, number: u32) {
        self.seq = self.seq.max(seq);
        let content = Some(Content::Payload(lamp::telemetry(number)));
        let publish = Publish { boot, seq, content, ..Publish::default() };
        self.client.say(0, Kind::Publish(publish)).await;
    }

    /// Reports a payload of a type on one of its channels.
    pub async fn report_typed(&mut self, channel: &str, name: &str, seq: u64, payload: Vec<u8>) {
        self.seq = self.seq.max(seq);
        let (channel, r#type) = (channel.to_owned(), name.to_owned());
        let content = Some(Content::Payload(payload));
        let publish = Publish { channel, r#type, seq, content, ..Publish::default() };
        self.client.say(0, Kind::Publish(publish)).await;
    }

    /// Waits until all reports of this boot up to `seq` are durable.
    pub async fn durable(&mut self, seq: u64) {
        let boot = self.boot;
        self.client
            .find("a cumulative ack", |kind| match kind {
                Kind::Ack(ack) if ack.boot == boot && ack.seq >= seq => Some(()),
                _ => None,
            })
            .await;
    }

    /// Reports a number and waits until it is durable.
    pub async fn report_durably(&mut self, number: u32) -> u64 {
        let seq = self.report(number).await;
        self.durable(seq).await;
        seq
    }

    /// Takes commands from now on.
    pub async fn ready(&mut self) {
        self.client.say(0, Kind::Ready(Ready {})).await;
    }

    /// The next command.
    pub async fn command(&mut self) -> Deliver {
        self.client
            .find("a command for the device", |kind| match kind {
                Kind::Deliver(deliver) => Some(deliver.clone()),
                _ => None,
            })
            .await
    }

    /// Says how far a command is, with its proof where it succeeded.
    pub async fn say(&mut self, command: &str, state: CommandState) {
        self.client.say(0, report_of(command, state)).await;
    }

    /// The same, and waits until the hub needs no repetition.
    pub async fn say_durably(&mut self, command: &str, state: CommandState) {
        let request = self.client.next_request();
        self.client.say(request, report_of(command, state)).await;
        match self.client.answer(request).await {
            Kind::Ack(_) => {}
            other => panic!("a report on a command was answered by {other:?}"),
        }
    }

    /// Takes a command through its whole life.
    pub async fn obey(&mut self, command: &str) {
        use CommandState::{Delivered, Running, Succeeded};
        for state in [Delivered, Running, Succeeded] {
            self.say(command, state).await;
        }
    }
}

/// What a device says of a command.
pub fn report_of(command: &str, state: CommandState) -> Kind {
    let result = if state == CommandState::Succeeded { lamp::result("done") } else { Vec::new() };
    let command = command.to_owned();
    let report = CommandReport { command, state: state.into(), result, ..CommandReport::default() };
    Kind::CommandReport(report)
}
