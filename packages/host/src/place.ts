import { homedir, totalmem, userInfo } from 'node:os';
import { join } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a process of this user keeps things: the XDG directories, or the system's for root. */
export interface Place {
  readonly dataDirectory: string;
  readonly runtimeDirectory: string;
  readonly configFile: string;
  readonly memoryBytes: number;
}

export function placeOf(env: Environment): Place {
  const memoryBytes = totalmem();
  if (userInfo().uid === 0) {
    return {
      dataDirectory: '/var/lib/millpool/cache',
      runtimeDirectory: '/run/millpool',
      configFile: '/etc/millpool/config.json',
      memoryBytes,
    };
  }
  const stateDirectory = xdg(env, 'XDG_STATE_HOME', '.local/state');
  return {
    dataDirectory: xdg(env, 'XDG_CACHE_HOME', '.cache'),
    runtimeDirectory: isAbsolute(env['XDG_RUNTIME_DIR'])
      ? join(env['XDG_RUNTIME_DIR'], 'millpool')
      : `${stateDirectory}/run`,
    configFile: join(xdg(env, 'XDG_CONFIG_HOME', '.config'), 'config.json'),
    memoryBytes,
  };
}

/** Where the daemon of this node listens when nothing else is said. */
export function defaultSocket(env: Environment = process.env): string {
  return join(env['MILLPOOL_RUNTIME_DIRECTORY'] ?? placeOf(env).runtimeDirectory, 'millpool.sock');
}

/** The XDG specification says to ignore a relative path. */
function xdg(env: Environment, name: string, otherwise: string): string {
  const base = env[name];
  return join(isAbsolute(base) ? base : join(homedir(), otherwise), 'millpool');
}

function isAbsolute(path: string | undefined): path is string {
  return path !== undefined && path.startsWith('/');
}
