// Types of protobuf.js.

export type Kind = 'number' | 'u64' | 'bool' | 'zigzag' | 'float' | 'text' | 'bytes' | 'texts' | { list: Fields } | { one: Fields };
/** By the numbers of the fields. */
export type Fields = Record<number, [name: string, kind: Kind]>;
/** A compiled table. */
export type Table = readonly object[];

export function table(fields: Fields): Table;

export class Bytes {
  constructor(bytes: Uint8Array);
  readonly isAtEnd: boolean;
}

/** Throws a RangeError if the bytes are cut off. */
export function read(bytes: Bytes, fields: Table): any;
export function write(message: object, fields: Table): Uint8Array;
