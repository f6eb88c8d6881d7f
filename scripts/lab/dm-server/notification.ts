import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import * as v from 'valibot';
import { buildNotification, DEFAULT_NONCE, NOTIFICATION_VERSION, UiMode, wrapWsp } from '../../../firmware/dm/index.js';
import { MAX_SESSION_ID, type Device } from './devices.js';

/** Body of `POST /devices/<deviceId>/notification`. */
export const notificationSchema = v.strictObject({
  /** 1 to 0xFFFF; absent: the next one. */
  sessionId: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(MAX_SESSION_ID))),
  uiMode: v.optional(v.picklist([0, 1, 2, 3]), UiMode.BACKGROUND),
  /** Made with the default nonce: the session that follows agrees on new nonces (5.8). */
  defaultNonce: v.optional(v.boolean(), false),
  /** Sends it, as a WSP push or bare. */
  send: v.optional(
    v.strictObject({
      host: v.string(),
      port: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535)),
      wsp: v.optional(v.boolean(), true),
    }),
  ),
});

export type NotificationRequest = v.InferOutput<typeof notificationSchema>;

/** Makes the Package#0 for a device, with the secret that it shares with this server (10.3), and sends it if asked to. */
export async function notify(
  serverId: string,
  device: Device,
  request: NotificationRequest,
): Promise<{ readonly package0: string; readonly sessionId: number }> {
  const sessionId = request.sessionId ?? (device.notified % MAX_SESSION_ID) + 1;
  device.notified = sessionId;
  if (request.defaultNonce) {
    device.resynchronising.add(sessionId);
    // Some clients answer with the octets of the SessionID in the order of their processor (facts 16).
    device.resynchronising.add(((sessionId & 0xff) << 8) | (sessionId >> 8));
  }
  const bytes = buildNotification(
    {
      version: NOTIFICATION_VERSION,
      uiMode: request.uiMode,
      initiator: 'server',
      sessionId,
      serverId,
      vendor: new Uint8Array(),
    },
    device.server.password,
    request.defaultNonce ? DEFAULT_NONCE : device.serverNonce,
  );
  const { send } = request;
  if (send) await sendDatagram(send.wsp ? wrapWsp(bytes, sessionId & 0xff) : bytes, send.host, send.port);
  return { package0: Buffer.from(bytes).toString('base64'), sessionId };
}

function sendDatagram(bytes: Uint8Array, host: string, port: number): Promise<void> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  return new Promise<void>((resolve, reject) => {
    socket.send(bytes, port, host, (error) => {
      if (error) reject(error);
      else resolve();
    });
  }).finally(() => socket.close());
}
