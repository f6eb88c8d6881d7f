/**
 * An HTTP/1.x server for content that is there (RFC 9110, 9112): requests without content, answers of known length,
 * bounded for every client. On the sockets of Node.js, beside its own server, which takes three times the memory for a
 * connection and several times the processor time for a short answer.
 * Leaves to others what is answered, and on which addresses it listens.
 */
export { CONNECTIONS_TOLD } from './admission.js';
export { HttpConnection, type Handler } from './connection.js';
export { HttpServer, type HttpLimits, type ListenError } from './server.js';
export { type HttpRequest } from './request.js';
