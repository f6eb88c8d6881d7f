import { countSchema, deviceSchema, discoveredSchema } from './device/index.js';
import { accountChanges, accountSchema, nonceSchema, outboxChanges, outboxSchema, rotationSchema } from './dm/index.js';
import {
  imageSchema,
  imageServerSchema,
  momentSchema,
  piecesSchema,
  retrievalSchema,
  scrubSchema,
} from './image/index.js';
import { endSchema, notifySchema, sleepersSchema } from './notify/index.js';
import { settingSchema } from './settings/index.js';
import type { SchemaStep } from './store/index.js';
import { treeChanges, treeSchema } from './tree/index.js';

/**
 * The schema of the database, as the steps that lead to it. The database's version is the number of steps taken, so
 * steps are only ever appended, at the end of this list.
 */
export const databaseSchema: readonly SchemaStep[] = [
  ...treeSchema,
  ...accountSchema,
  ...outboxSchema,
  ...imageSchema,
  ...deviceSchema,
  ...notifySchema,
  ...accountChanges,
  ...treeChanges,
  ...discoveredSchema,
  ...retrievalSchema,
  ...momentSchema,
  ...endSchema,
  ...sleepersSchema,
  ...nonceSchema,
  ...outboxChanges,
  ...settingSchema,
  ...scrubSchema,
  ...imageServerSchema,
  ...rotationSchema,
  ...countSchema,
  ...piecesSchema,
];
