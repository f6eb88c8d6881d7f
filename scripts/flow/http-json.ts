/** One call of an admin API. @throws when it is not answered with success */
export async function callJson<T>(method: 'GET' | 'POST' | 'DELETE', url: string, body?: unknown): Promise<T> {
  const reply = await fetch(url, { method, ...(body !== undefined && { body: JSON.stringify(body) }) });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`${method} ${url} is answered ${reply.status}: ${text}`);
  return JSON.parse(text) as T;
}
