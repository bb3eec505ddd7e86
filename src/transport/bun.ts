import type { Transport } from "./transport.ts";
export const bunTransport: Transport = undefined!;
