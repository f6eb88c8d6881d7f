import type { Element } from '../../firmware/codec/index.js';

/** What may stand in an element that the gateway sends, in this order (REPPRO's DTD, as far as DM uses it). */
const MODELS: Readonly<Record<string, RegExp>> = Object.fromEntries(
  Object.entries({
    SyncML: 'SyncHdr SyncBody',
    SyncHdr: 'VerDTD VerProto SessionID MsgID Target Source RespURI? NoResp? Cred? Meta?',
    SyncBody: '(Alert|Results|Status|Replace)+ Final?',
    Target: 'LocURI LocName?',
    Source: 'LocURI LocName?',
    Cred: 'Meta? Data',
    Chal: 'Meta',
    Meta: 'Format? Type? Mark? Size? NextNonce? MaxMsgSize? MaxObjSize?',
    Item: 'Target? Source? Meta? Data? MoreData?',
    Alert: 'CmdID Data? Correlator? Item*',
    Replace: 'CmdID Meta? Item+',
    Results: 'CmdID MsgRef? CmdRef Meta? TargetRef? SourceRef? Item+',
    Status: 'CmdID MsgRef CmdRef Cmd TargetRef* SourceRef* Cred? Chal? Data Item*',
  }).map(([name, model]) => [name, expression(model)]),
);

/** What is wrong with the structure of a message of the gateway; undefined where nothing is. */
export function structureFault(one: Element): string | undefined {
  const model = MODELS[one.name];
  if (!model) return one.children.length > 0 ? `<${one.name}> has children` : undefined;
  const children = one.children.map(({ name }) => `${name} `).join('');
  if (!model.test(children)) return `<${one.name}> contains ${children}`;
  for (const inner of one.children) {
    const fault = structureFault(inner);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Over names that each end with a space. */
function expression(model: string): RegExp {
  return new RegExp(`^${model.replace(/(\w+)| /g, (_, name?: string) => (name === undefined ? '' : `(?:${name} )`))}$`);
}
