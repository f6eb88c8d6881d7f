import type { Catalog, Upload, Uploads } from '../image/index.js';
import { success } from '../outcome/index.js';
import { type ByteSink, type SinkRequest, type StoredValue, type TreeOutcome } from '../tree/index.js';
import { imageFailure, imageOutcome } from './image-errors.js';

/**
 * A sink for `Data` of the image at this node: its bytes go into a file, are hashed and flushed on the way, and become
 * the image's content in the transaction of the message that brings the last of them.
 * While there is no such image, it is made in that transaction too, as any parent that an Add finds missing.
 */
export function imageDataSink(
  catalog: Catalog,
  uploads: Uploads,
  node: string,
  { bytes }: SinkRequest,
): TreeOutcome<ByteSink> {
  // What is announced counts base64: a bound of the room that is needed, not the size.
  const upload = uploads.begin(catalog.byNode(node)?.id ?? 'new', bytes === undefined ? {} : { atMostBytes: bytes });
  return upload.ok ? success(sinkOf(upload.value, catalog)) : imageFailure(upload.error);
}

function sinkOf(upload: Upload, catalog: Catalog): ByteSink {
  return {
    write: async (octets) => imageOutcome(await upload.write(octets)),
    end: async () => {
      const ended = await upload.end();
      if (!ended.ok) return imageFailure(ended.error);
      const stored: StoredValue = {
        bytes: ended.value.size,
        // The tree has made the nodes above the leaf.
        stage: ([node = ''], by) => imageOutcome(upload.commit(by.serverId, catalog.byNode(node)?.id)),
      };
      return success(stored);
    },
    discard: () => upload.discard(),
  };
}
