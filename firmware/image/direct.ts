import { writeSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Writes to a connection past Node.js as much as the kernel takes at once. Node.js keeps what the kernel does not take
 * until it does, and says nothing of how much that is; the system call says it, and keeps nothing. So one buffer serves
 * all clients, and none of them holds it.
 *
 * What was written through Node.js must have gone before, else it would come after; its end too, for which nothing may be
 * pending here.
 * @returns bytes taken; 0 when the kernel takes none now, and where there is no way past Node.js (TLS): the next write
 *   through Node.js waits then, or tells what is wrong
 */
export function writeDirect(response: ServerResponse, socket: Socket, bytes: Buffer): number {
  const fd = descriptorOf(socket);
  if (fd === undefined || response.socket !== socket || response.writableLength > 0 || socket.writableLength > 0) {
    return 0;
  }
  try {
    return writeSync(fd, bytes);
  } catch {
    // EAGAIN, mostly. Whatever it is, the write that follows meets it too.
    return 0;
  }
}

/** Asked anew for each write: a closed descriptor's number soon belongs to another file. */
function descriptorOf(socket: Socket): number | undefined {
  if (socket.destroyed || isTls(socket) || !('_handle' in socket)) return undefined;
  const handle = socket._handle;
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return undefined;
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}

/** `tls.TLSSocket` says so of itself; to ask for its class would load it. */
export function isTls(socket: Socket): boolean {
  return 'encrypted' in socket;
}
