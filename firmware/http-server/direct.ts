import type { Socket } from 'node:net';
import { native } from '../native/index.js';

/** Our end of a connection, to the kernel: FIN; over TLS no more than this, with an alert (RFC 8446 §6.1) before it. */
const END_BYTES = 1;
const SECURE_END_BYTES = 127;

/**
 * Has bytes sent to a connection past Node.js, as many as the kernel takes at once. Node.js keeps what the kernel does not
 * take until it does; the system call says how much that is, and nobody keeps anything.
 *
 * What was written through Node.js must have gone before, else it would come after.
 * @param send is handed the connection's descriptor
 * @returns what `send` does; 0 where there is no way past Node.js now: the next write through Node.js waits then, or tells
 *   what is wrong
 */
export function sendPastNode<T>(socket: Socket, send: (fd: number) => T): T | 0 {
  const fd = canPassNode(socket) ? descriptorOf(socket) : undefined;
  return fd === undefined || socket.writableLength > 0 ? 0 : send(fd);
}

/** Whether there is a way past Node.js: there is none to a TLS connection. */
export function canPassNode(socket: Socket): boolean {
  // `tls.TLSSocket` says so of itself; to ask for its class would load it.
  return !('encrypted' in socket) && descriptorOf(socket) !== undefined;
}

/**
 * Whether the client's kernel has acknowledged all that was sent, but for our end of the connection; of a TLS connection
 * too, as its bytes. Its program may still have to read some of it: nobody can tell from here.
 */
export function isAcknowledged(socket: Socket): boolean {
  const left = unacknowledged(socket);
  return left === 0 || (socket.writableEnded && left <= ('encrypted' in socket ? SECURE_END_BYTES : END_BYTES));
}

/** Bytes that the client's kernel has not acknowledged; very many where nothing tells. */
export function unacknowledged(socket: Socket): number {
  const fd = descriptorOf(socket);
  const left = fd === undefined ? -1 : native().unacknowledged(fd);
  return left < 0 ? Number.MAX_SAFE_INTEGER : left;
}

/** Asked anew for each write: a closed descriptor's number soon belongs to another file. */
function descriptorOf(socket: Socket): number | undefined {
  if (socket.destroyed || !('_handle' in socket)) return undefined;
  const handle = socket._handle;
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined;
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}
