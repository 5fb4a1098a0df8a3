// A Socket.IO server with rooms and nothing else, for `make bench-peers`. Usage:
//
//   node socketio.js [certificate.pem key.pem]
//
// Events: `join` with a room, answered; `pub` with a room and a payload, which goes to everybody in that
// room as an event named after it. Socket.IO has no patterns, so all rooms below bench/in/ are one.
"use strict";

const fs = require("node:fs");
const { Server } = require("socket.io");

const [certificate, key] = process.argv.slice(2);
const server = certificate
  ? require("node:https").createServer({
      cert: fs.readFileSync(certificate),
      key: fs.readFileSync(key),
    })
  : require("node:http").createServer();

const io = new Server(server, {
  transports: ["websocket"],
  serveClient: false,
  perMessageDeflate: false,
});

io.on("connection", (socket) => {
  socket.on("join", (room, done) => {
    socket.join(room);
    done();
  });
  socket.on("pub", (room, payload) => {
    io.to(room.startsWith("bench/in/") ? "bench/in" : room).emit(room, payload);
  });
});

server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  const scheme = certificate ? "wss" : "ws";
  console.log(`ready ${scheme}://127.0.0.1:${server.address().port}`);
});
