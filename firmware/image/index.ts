/**
 * The way of an image: what is wanted (catalog), from ImageURI to a verified blob (downloader), from the blob to the
 * devices at LocalImageURI (server).
 * Leaves to others what a management object makes of it, who the devices are, and who needs to be told.
 */
export type { AcceptanceError } from './acceptance.js';
export { BlobStore, type BlobStoreOptions } from './blobs.js';
export { Arrivals } from './arrivals.js';
export { Catalog, type CatalogError, type CatalogErrorCode, type CatalogOptions } from './catalog.js';
export { Deliveries, rangesText, type Delivery } from './deliveries.js';
export { systemDisk, type Disk } from './disk.js';
export { Downloader, type DownloaderOptions } from './downloader.js';
export {
  NO_LEAVES,
  type ImageEvent,
  type ImageEventKind,
  type ImageLeaf,
  type ImageRecord,
  type ResultCode,
} from './image.js';
export { lanAddresses } from './lan-addresses.js';
export { meteredSwitch } from './metered.js';
export { mirrorsOf } from './leaves.js';
export { findImages, type FoundImages } from './recovery.js';
export { ImageRetention } from './retention.js';
export type { PinSource } from './room.js';
export { forgetSeeds, hasSeeds, seedImage, type SeedErrorCode } from './seed.js';
export type { LostImage } from './sidecar.js';
export { Scrub, scrubSchema, type ScrubProgress } from './scrub.js';
export { imageSchema, imageServerSchema, momentSchema, piecesSchema, retrievalSchema } from './schema.js';
export type { Reactions } from './accounting.js';
export { ImageServer, type ServerOptions } from './server.js';
export { isRunning, STATE_NUMBER } from './states.js';
export { Tokens } from './tokens.js';
export { Uploads, type Upload, type UploadError, type UploadErrorCode } from './upload.js';
