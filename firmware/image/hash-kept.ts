import { diskFault, type Fault } from './fault.js';
import type { PartialContent } from './intake.js';
import type { RetrievalKey } from './progress.js';
import type { RetrievalOptions } from './retrieval-options.js';

/** The largest page of memory of any machine that we know. */
const PAGE_BYTES = 64 * 1024;

/**
 * Cuts a partial file behind the page of its watermark and hashes what remains.
 * @param content of which nothing is known yet; afterwards it has what can be used: nothing where the file has lost bytes
 *   that were flushed, or where the signal came first
 * @param buffer is read into
 */
export async function hashKept(
  key: RetrievalKey,
  content: PartialContent,
  fd: number,
  buffer: Buffer,
  signal: AbortSignal,
  { blobs, progress }: Pick<RetrievalOptions, 'blobs' | 'progress'>,
): Promise<Fault | undefined> {
  const { disk } = blobs;
  const record = progress.current(key);
  if (!record || record.received === 0 || !progress.checking(key)) return undefined;
  try {
    const present = (await blobs.partialSize(key.id)) ?? 0;
    // A file system that lost flushed bytes may have damaged the others: nothing of it is used.
    const kept = present < record.received ? 0 : record.received;
    // Bytes of a page that may be on their way to clients are not zeroed: they wait in the kernel, which outlives us.
    await disk.truncate(fd, Math.min(present, Math.ceil(kept / PAGE_BYTES) * PAGE_BYTES));
    while (content.received < kept && !signal.aborted) {
      const wanted = Math.min(buffer.length, kept - content.received);
      const bytes = await disk.read(fd, buffer, wanted, content.received);
      if (bytes === 0) break;
      await content.hash(buffer.subarray(0, bytes));
      content.received += bytes;
    }
  } catch (thrown) {
    return diskFault(thrown);
  }
  if (signal.aborted) content.restart();
  else if (content.received < record.received) {
    content.restart();
    progress.forget(key);
  }
  return undefined;
}
