/** What one run of one contender took. */
export interface Cost {
  readonly wallMs: number;
  /** User and system, of all its processes. */
  readonly cpuMs: number;
  /** The kernel's high-water mark of RSS (VmHWM), and the most of RssAnon that was seen. */
  readonly peakRssBytes: number;
  readonly peakRssAnonBytes: number;
  /** Written to the disk by its processes. */
  readonly writtenBytes: number;
}
