/** The shortest right configuration, as JSON; tests vary it. */
export function minimal(): Record<string, unknown> {
  return {
    stateDir: '/var/lib/dmgw',
    storeDir: '/srv/dmgw',
    device: { devId: 'MAC:001122AABBCC', manufacturer: 'Example', model: 'R1' },
    lan: { prefixes: ['192.168.1.0/24'] },
    serve: { listen: ['192.168.1.1'] },
  };
}

/** One DM Server over TLS, md5 both ways. */
export function account(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    serverId: 'srv',
    url: 'https://dm.example.com/dm',
    client: { name: 'gw', secret: 'gateway-secret' },
    server: { secret: 'server-secret' },
    ...changes,
  };
}
