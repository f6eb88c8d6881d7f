/** Exit codes of `dmgw`, for scripts and service managers; they do not change. */
export const ExitCode = {
  done: 0,
  /** It was tried and did not succeed; for `health`: not healthy. */
  failed: 1,
  /** A wrong argument, a wrong configuration, an addon that this Node.js cannot load: another try would fail alike. */
  usage: 2,
  /** The daemon that should answer is not running. */
  notRunning: 3,
  /** A defect of dmgw, or its disk failed while it ran (EX_SOFTWARE of sysexits.h). */
  fatal: 70,
} as const;
