import type { Catalog, Upload, Uploads } from '../image/index.js';
import { success } from '../outcome/index.js';
import { treeFailure, type ByteSink, type SinkRequest, type StoredValue, type TreeOutcome } from '../tree/index.js';
import { imageFailure, imageOutcome } from './image-errors.js';

/**
 * A sink for `Data` of the image at this node: its bytes go into a file, are hashed and flushed on the way, and become
 * the image's content in the transaction of the message that brings the last of them.
 * @returns failure `not-found` while there is no such image: the server adds the node, and its Digest, before its Data
 */
export function imageDataSink(
  catalog: Catalog,
  uploads: Uploads,
  node: string,
  { bytes }: SinkRequest,
): TreeOutcome<ByteSink> {
  const image = catalog.byNode(node);
  if (!image) return treeFailure('not-found', 'the image has to be added before its Data');
  // What is announced counts base64: a bound of the room that is needed, not the size.
  const upload = uploads.begin(image.id, bytes === undefined ? {} : { atMostBytes: bytes });
  return upload.ok ? success(sinkOf(upload.value)) : imageFailure(upload.error);
}

function sinkOf(upload: Upload): ByteSink {
  return {
    write: async (octets) => imageOutcome(await upload.write(octets)),
    end: async () => {
      const ended = await upload.end();
      if (!ended.ok) return imageFailure(ended.error);
      const stored: StoredValue = {
        bytes: ended.value.size,
        stage: (_, by) => imageOutcome(upload.commit(by.serverId)),
      };
      return success(stored);
    },
    discard: () => upload.discard(),
  };
}
