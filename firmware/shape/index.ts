/**
 * What a value that came as JSON must be, and the reading of one: for the configuration and for requests of people.
 * Plain data, because a start makes it anew. Leaves to its callers how a problem is worded.
 */
export { formatPath, type KeyPath } from './path.js';
export { isObject, readValue, shapeOf, type Problem } from './read.js';
export {
  allowedBy,
  choice,
  derived,
  exactOptional,
  flag,
  list,
  number,
  optional,
  record,
  section,
  text,
  whole,
  type InOf,
  type Key,
  type Notes,
  type OutOf,
  type Shape,
} from './shape.js';
