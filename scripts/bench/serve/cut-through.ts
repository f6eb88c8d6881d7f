import { rmSync } from 'node:fs';
import { Nginx } from '../../../firmware/image/nginx.fixture.js';
import { sha256Of } from '../../flow/images.js';
import { Lab } from '../../flow/lab.js';
import { addImage } from '../../flow/operator.js';
import { memoryOf } from '../proc.js';
import { runClients } from './client.js';
import { placeOf, untilServed } from './place.js';

const CLIENTS = 20;
const WAN_BYTES_PER_SECOND = 20_000_000;
const PATH = '/image';

/** How long it took from the order to the last byte of the last client, in ms. */
export interface CutThrough {
  readonly allMs: number;
  /** The same clients once all is stored here. */
  readonly fromDiskMs: number;
  /** What nobody can beat: the image's way over the WAN, or to the clients from the disk, whichever takes longer. */
  readonly limitMs: number;
}

export interface CutThroughFigures {
  readonly gateway: CutThrough;
  readonly gatewayRssAnonBytes: number;
  /** Its proxy_cache with proxy_cache_lock. */
  readonly nginx: CutThrough;
  readonly nginxWanBytes: number;
  readonly gatewayWanBytes: number;
}

/** 20 clients that fetch an image from the start, while it comes over a WAN of 20 MB/s; beside nginx as a caching proxy. */
export async function measureCutThrough(
  file: string,
  imageBytes: number,
  folder: string,
  nodeFlags: readonly string[],
  tell: (what: string) => void,
): Promise<CutThroughFigures> {
  const overWanMs = (imageBytes * 1000) / WAN_BYTES_PER_SECOND;
  const lab = await Lab.start({
    folder,
    devices: 0,
    rateBytesPerSecond: WAN_BYTES_PER_SECOND,
    offers: [{ path: PATH, file, contentType: 'application/octet-stream' }],
    gateway: {
      nodeFlags,
      settings: {
        log: { level: 'info' },
        retrieve: { fsyncVolumeMiB: 8 },
        serve: { cutThrough: true, maxConnections: 64, maxConnectionsPerAddress: 64 },
      },
    },
  });
  const { gateway, downloads } = lab;
  const nginx = new Nginx(
    ({ folder: own, ports: [port] }) => `access_log off; sendfile on; tcp_nopush on;
proxy_cache_path ${own}/cache keys_zone=images:1m max_size=4g;
server {
  listen 127.0.0.1:${port} backlog=511;
  location / {
    proxy_pass ${downloads.urlOf('')}; proxy_http_version 1.1;
    proxy_cache images; proxy_cache_valid 200 1h; proxy_max_temp_file_size 4096m;
    proxy_cache_lock on; proxy_cache_lock_age 1h; proxy_cache_lock_timeout 1h;
  }
}`,
  );
  try {
    const digest = await sha256Of(file);
    const sent = async (): Promise<number> => (await downloads.stats()).bytes;

    tell(
      `${CLIENTS} clients from the start over ${WAN_BYTES_PER_SECOND / 1e6} MB/s: dmgw (${seconds(overWanMs)} at least)`,
    );
    let begunMs = performance.now();
    await lab.manage(addImage('image', { uri: downloads.urlOf(PATH), digest }));
    const place = placeOf(await untilServed(lab, 'image'));
    await runClients(place, 'whole', CLIENTS);
    const own = performance.now() - begunMs;
    const gatewayRssAnonBytes = memoryOf(gateway.child.pid)?.rssAnonBytes ?? 0;
    const { wallMs: ownFromDiskMs } = await runClients(place, 'whole', CLIENTS);
    const gatewayWanBytes = await sent();

    tell(`  the same: nginx as a caching proxy (${seconds(overWanMs)} at least)`);
    await nginx.start();
    const there = { address: '127.0.0.1', port: nginx.ports[0], path: PATH };
    begunMs = performance.now();
    await runClients(there, 'whole', CLIENTS);
    const other = performance.now() - begunMs;
    const { wallMs: otherFromDiskMs } = await runClients(there, 'whole', CLIENTS);
    const figures = (allMs: number, fromDiskMs: number): CutThrough => ({
      allMs,
      fromDiskMs,
      limitMs: Math.max(overWanMs, fromDiskMs),
    });
    return {
      gateway: figures(own, ownFromDiskMs),
      gatewayRssAnonBytes,
      gatewayWanBytes,
      nginx: figures(other, otherFromDiskMs),
      nginxWanBytes: (await sent()) - gatewayWanBytes,
    };
  } finally {
    await nginx.close();
    await lab.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
