import { MillpoolError } from '@millpool/protocol';
import type { Handlers, Method } from '@millpool/protocol';

/** A daemon that can do `some` methods and refuses the others. */
export function handlersWith(some: Partial<Handlers>): Handlers {
  return new Proxy(some, {
    get: (known, method) => Reflect.get(known, method) ?? refuse(String(method)),
  }) as Handlers;
}

function refuse(method: string): Handlers[Method] {
  return () =>
    Promise.reject(new MillpoolError({ code: 'unsupported', message: `this daemon has no ${method}`, remedy: '' }));
}
