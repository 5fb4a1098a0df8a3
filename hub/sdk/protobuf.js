// Protobuf, as far as the protocol and its readers need it: a table of fields says what is read; what stands in no
// table is passed over. No library, since a page that shows a city reads hundreds of thousands of messages at once.
//
//   const LAMP = table({ 1: ['name', 'text'], 2: ['level', 'number'], 3: ['parts', { list: PART }] });
//   read(new Bytes(bytes), LAMP)
//
// Kinds: `number` (exact up to 2^53), `u64` (a text, as in proto3 JSON), `bool`, `zigzag`, `float`, `text`, `bytes`,
// `texts` (a map from text to text), `{ list }` of messages, `{ one }` message.

const decoder = new TextDecoder();
const encoder = new TextEncoder();
/** Longer texts are worth a call of the decoder. */
const BY_HAND_MAX = 96;
const EXACT = 2 ** 53;

/** Bytes that are read from front to back. What is cut off throws a RangeError. */
export class Bytes {
  constructor(bytes, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get isAtEnd() {
    return this.at >= this.end;
  }

  varint() {
    const { bytes } = this;
    let byte = this.#next(bytes);
    if (byte < 128) return byte;
    let value = byte & 127;
    let scale = 128;
    do {
      byte = this.#next(bytes);
      value += (byte & 127) * scale;
      scale *= 128;
      if (scale > 2 ** 70) throw new RangeError('no number');
    } while (byte > 127);
    return value;
  }

  #next(bytes) {
    if (this.at >= this.end) throw new RangeError('cut off');
    return bytes[this.at++];
  }

  u64() {
    const start = this.at;
    const value = this.varint();
    if (value < EXACT) return String(value);
    let exact = 0n;
    for (let at = this.at - 1; at >= start; at -= 1) exact = exact * 128n + BigInt(this.bytes[at] & 127);
    return String(BigInt.asUintN(64, exact));
  }

  zigzag() {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  float() {
    const at = this.at;
    this.#pass(4);
    this.view ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    // Without the noise of 32 bits: 43.2 and not 43.20000076.
    return Math.round(this.view.getFloat32(at, true) * 1e4) / 1e4;
  }

  /** Where a part with its length in front ends. */
  partEnd() {
    const end = this.varint() + this.at;
    if (end > this.end) throw new RangeError('cut off');
    return end;
  }

  part() {
    const end = this.partEnd();
    const part = new Bytes(this.bytes, this.at, end);
    this.at = end;
    return part;
  }

  /** The bytes of a part, which aren't copied. */
  slice() {
    const end = this.partEnd();
    const slice = this.bytes.subarray(this.at, end);
    this.at = end;
    return slice;
  }

  text() {
    const end = this.partEnd();
    const slice = this.bytes.subarray(this.at, end);
    this.at = end;
    if (slice.length > BY_HAND_MAX) return decoder.decode(slice);
    for (let at = 0; at < slice.length; at += 1) if (slice[at] > 127) return decoder.decode(slice);
    return String.fromCharCode.apply(null, slice);
  }

  skip(wire) {
    if (wire === 0) this.varint();
    else if (wire === 1) this.#pass(8);
    else if (wire === 2) this.at = this.partEnd();
    else if (wire === 5) this.#pass(4);
    else throw new RangeError('a group');
  }

  #pass(count) {
    this.at += count;
    if (this.at > this.end) throw new RangeError('cut off');
  }
}

const WIRES = { number: 0, u64: 0, bool: 0, zigzag: 0, float: 5, text: 2, bytes: 2, texts: 2 };

/** A table that `read` and `write` take, from `{ 1: ['name', 'kind'], … }`. */
export function table(fields) {
  const made = [];
  for (const [number, [name, kind]] of Object.entries(fields)) {
    const word = kind.list ? 'list' : kind.one ? 'one' : kind;
    const part = kind.list ?? kind.one;
    made[number] = { name, kind: word, wire: WIRES[word] ?? 2, part: part && table(part) };
  }
  return made;
}

const ENTRY = table({ 1: ['key', 'text'], 2: ['value', 'text'] });

/** The message that these bytes are. A field that isn't there is absent. */
export function read(bytes, fields) {
  const message = {};
  while (bytes.at < bytes.end) {
    const key = bytes.varint();
    const field = fields[key >>> 3];
    if (field === undefined || field.wire !== (key & 7)) {
      bytes.skip(key & 7);
      continue;
    }
    const { name } = field;
    switch (field.kind) {
      case 'number': message[name] = bytes.varint(); break;
      case 'text': message[name] = bytes.text(); break;
      case 'bytes': message[name] = bytes.slice(); break;
      case 'float': message[name] = bytes.float(); break;
      case 'bool': message[name] = bytes.varint() !== 0; break;
      case 'zigzag': message[name] = bytes.zigzag(); break;
      case 'u64': message[name] = bytes.u64(); break;
      case 'one': message[name] = read(bytes.part(), field.part); break;
      case 'list': (message[name] ??= []).push(read(bytes.part(), field.part)); break;
      case 'texts': {
        const { key: word = '', value = '' } = read(bytes.part(), ENTRY);
        (message[name] ??= {})[word] = value;
      }
    }
  }
  return message;
}

/** The bytes of a message; what is absent, 0, false or empty isn't written. */
export function write(message, fields) {
  const out = [];
  fields.forEach(({ name, kind, wire, part }, number) => {
    const value = message[name];
    if (value === undefined || value === '' || (wire === 0 && Number(value) === 0)) return;
    varint(out, number * 8 + wire);
    if (wire === 0) return varint(out, value);
    const bytes = kind === 'text' ? encoder.encode(value) : write(value, part);
    varint(out, bytes.length);
    out.push(...bytes);
  });
  return Uint8Array.from(out);
}

/** Appends a number, or a text of one. */
export function varint(out, value) {
  let rest = BigInt(value);
  for (; rest > 127n; rest >>= 7n) out.push(Number(rest & 127n) | 128);
  out.push(Number(rest));
}
