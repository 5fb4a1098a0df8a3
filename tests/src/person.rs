//! An operator or a dashboard, in protobuf: it watches, and sends commands.

use prost::Message as _;
use proto::messages::lamplighter::v1::envelope::Kind;
use proto::messages::lamplighter::v1::{
    Ack, Cancel, CommandState, CommandUpdate, Error, Hello, Message, Position, Publish, Send,
    Snapshot, Subscribe, Welcome, message, publish, send,
};

use crate::client::Client;
use crate::{Hub, Via, lamp};

/// A connected person.
pub struct Person {
    /// The connection below.
    pub client: Client,
    /// What the hub said at the start.
    pub welcome: Welcome,
}

/// How a person says hello.
pub fn hello(token: &str) -> Hello {
    let (token, agent) = (token.to_owned(), "test-dashboard".to_owned());
    Hello { protocol: proto::PROTOCOL_VERSION, token, agent, ..Hello::default() }
}

/// A command for a device that carries `reference` and lives for the default time.
pub fn command(device: &str, reference: &str) -> Send {
    Send {
        device: device.to_owned(),
        r#type: proto::channels::COMMAND_TYPE.to_owned(),
        content: Some(send::Content::Payload(lamp::command(reference))),
        ttl_s: 600,
        ..Send::default()
    }
}

/// The bytes of a message.
pub fn payload(message: &Message) -> &[u8] {
    match &message.content {
        Some(message::Content::Payload(bytes)) => bytes,
        Some(message::Content::Data(_)) => panic!("JSON in a binary envelope"),
        None => &[],
    }
}

impl Person {
    /// The operator that `--dev` made.
    pub async fn operator(hub: &Hub) -> Self {
        Self::with(&Via::of(hub), &hub.dev_token("operator")).await
    }

    /// The dashboard that `--dev` made.
    pub async fn viewer(hub: &Hub) -> Self {
        Self::with(&Via::of(hub), &hub.dev_token("viewer")).await
    }

    /// Whoever has this token.
    pub async fn with(via: &Via, token: &str) -> Self {
        let mut client = Client::dial(via).await;
        let welcome = client.greet(hello(token)).await;
        Self { client, welcome }
    }

    /// Asks for a subscription and waits for its answer.
    pub async fn subscribe(
        &mut self,
        pattern: &str,
        since: Option<Position>,
        snapshot: bool,
    ) -> Ack {
        let pattern = pattern.to_owned();
        self.wish(Subscribe { pattern, since, snapshot, ..Subscribe::default() }).await
    }

    /// Asks for a subscription of the test's own and waits for its answer.
    pub async fn wish(&mut self, wish: Subscribe) -> Ack {
        let asked = self.try_wish(wish).await;
        asked.unwrap_or_else(|error| panic!("no subscription: {error:?}"))
    }

    /// Asks for a subscription that may be refused.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn try_wish(&mut self, wish: Subscribe) -> Result<Ack, Error> {
        self.ask(Kind::Subscribe(wish)).await
    }

    /// Watches from now on; the position from which.
    pub async fn watch(&mut self, pattern: &str) -> Position {
        self.subscribe(pattern, None, false).await.position.expect("every ack has a position")
    }

    /// All last values of a snapshot that was asked for, its pages joined.
    pub async fn snapshot(&mut self) -> Vec<Message> {
        let mut values = Vec::new();
        loop {
            let page = self.page().await;
            values.extend(page.values);
            if page.last {
                return values;
            }
        }
    }

    /// The next page of a snapshot.
    pub async fn page(&mut self) -> Snapshot {
        let page = |kind: &Kind| match kind {
            Kind::Snapshot(page) => Some(page.clone()),
            _ => None,
        };
        self.client.find("a page of a snapshot", page).await
    }

    /// The next message.
    pub async fn message(&mut self) -> Message {
        let message = |kind: &Kind| match kind {
            Kind::Message(message) => Some(message.clone()),
            _ => None,
        };
        self.client.find("a message", message).await
    }

    /// The numbers of the next telemetry reports.
    pub async fn numbers(&mut self, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(lamp::number(payload(&self.message().await)));
        }
        numbers
    }

    /// Puts bytes into a channel.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn publish(&mut self, channel: &str, payload: Vec<u8>) -> Result<Ack, Error> {
        let content = Some(publish::Content::Payload(payload));
        let channel = channel.to_owned();
        self.ask(Kind::Publish(Publish { channel, content, ..Publish::default() })).await
    }

    /// Puts bytes into a channel in place of the value with this revision, 0 for none.
    ///
    /// # Errors
    /// The hub refused: also if another one stands.
    pub async fn replace(
        &mut self,
        channel: &str,
        payload: Vec<u8>,
        revision: u64,
    ) -> Result<Ack, Error> {
        let content = Some(publish::Content::Payload(payload));
        let (channel, expected_revision) = (channel.to_owned(), Some(revision));
        let publish = Publish { channel, content, expected_revision, ..Publish::default() };
        self.ask(Kind::Publish(publish)).await
    }

    /// Sends a command; its id, once it is durable.
    pub async fn send(&mut self, send: Send) -> String {
        let ack = self.try_send(send).await;
        ack.unwrap_or_else(|error| panic!("the command was refused: {error:?}")).command
    }

    /// The same, where it may be refused.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn try_send(&mut self, send: Send) -> Result<Ack, Error> {
        self.ask(Kind::Send(send)).await
    }

    /// Withdraws a command.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn cancel(&mut self, command: &str) -> Result<Ack, Error> {
        self.ask(Kind::Cancel(Cancel { command: command.to_owned() })).await
    }

    /// Asks for something and waits for the answer.
    ///
    /// # Errors
    /// The hub refused.
    pub async fn ask(&mut self, wish: Kind) -> Result<Ack, Error> {
        let request = self.client.next_request();
        self.client.say(request, wish).await;
        match self.client.answer(request).await {
            Kind::Ack(ack) => Ok(ack),
            Kind::Error(error) => Err(error),
            other => panic!("neither ack nor error: {other:?}"),
        }
    }

    /// The next step in the life of any command that is watched.
    pub async fn update(&mut self) -> CommandUpdate {
        let update = |kind: &Kind| match kind {
            Kind::Message(message) if message.r#type == "lamplighter.v1.CommandUpdate" => {
                Some(CommandUpdate::decode(payload(message)).expect("a command update"))
            }
            _ => None,
        };
        self.client.find("a step of a command", update).await
    }

    /// The states that a watched command goes through, up to its end.
    pub async fn life(&mut self, command: &str) -> Vec<CommandState> {
        let mut states = Vec::new();
        loop {
            let update = self.update().await;
            if update.command != command {
                continue;
            }
            states.push(update.state());
            if update.state() >= CommandState::Succeeded {
                return states;
            }
        }
    }
}
