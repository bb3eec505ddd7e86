/**
 * Questions about UDP.
 *
 * @module
 */

import { udpAssociate } from "../../client/udp_associate.ts";
import type { UdpAssociation } from "../../client/udp_association.ts";
import { type Endpoint, formatEndpoint } from "../../protocol/address.ts";
import { decodeDatagram, encodeDatagram } from "../../protocol/datagram.ts";
import { NetError } from "../../transport/errors.ts";
import type { Address, DatagramSocket } from "../../transport/transport.ts";
import { type Answer, ask, prepare, type Question } from "./probes.ts";
import type { Scope } from "./scope.ts";
import type { OwnTargets } from "./targets.ts";

/** How long to wait for an answer until a datagram is sent again, in milliseconds. */
const AGAIN = 250;
/** How long to wait for fragments after a datagram that was sent later has come back. */
const GRACE = 200;

/** Asks for an association. With a target, a datagram has to come back from it. */
export function askUdp(
  question: Question,
  target?: Address,
  own?: OwnTargets,
): Promise<Answer> {
  return ask(question.timeout, async (asking) => {
    const { scope } = asking;
    const [proxy, options] = await prepare(question, scope);
    const udp = scope.keep(await udpAssociate(proxy, options));
    const relay = `relay ${formatEndpoint(udp.relayAddr)}`;
    const lost = `${relay}, but no datagram came back`;
    asking.replied(lost);
    if (!target || !own) {
      return { detail: `${relay}; datagrams not tried, because of --target` };
    }
    const { token } = own.expect();
    scope.keep(repeat(() => udp.send(token, target)));
    if (await isReceived(udp, token, scope)) return { detail: relay };
    throw new NetError("other", lost);
  });
}

async function isReceived(
  udp: UdpAssociation,
  token: Uint8Array,
  { signal }: Scope,
): Promise<boolean> {
  const late = new Promise<undefined>((resolve) =>
    signal.addEventListener("abort", () => resolve(undefined))
  );
  for (;;) {
    const next = await Promise.race([udp.next(), late]);
    if (!next || next.done) return false;
    if (next.value[0].join() === token.join()) return true;
  }
}

/** Calls a function now and then until it is closed. */
function repeat(call: () => unknown): { close(): void } {
  const run = () => void Promise.resolve(call()).catch(() => {});
  run();
  const timer = setInterval(run, AGAIN);
  return { close: () => clearInterval(timer) };
}

/** The outcome for two fragments of one datagram. */
type Fate = "whole" | "pieces" | undefined;

/**
 * Sends a datagram in two fragments, and a whole one after them, until the latter comes
 * back. The socket is not that of the association, which sends no fragments.
 */
export function askFragments(
  question: Question,
  target: Endpoint,
  own: OwnTargets,
): Promise<Answer> {
  return ask(question.timeout, async (asking) => {
    const { scope } = asking;
    const [proxy, options] = await prepare(question, scope);
    const udp = scope.keep(await udpAssociate(proxy, options));
    // Each is a token, so that the target also answers fragments that come alone.
    const [marker, one, other] = [own.expect(), own.expect(), own.expect()];
    const both = [...one.token, ...other.token].join();
    let fate: Fate;
    let arrived = () => {};
    const isMarked = new Promise<void>((resolve) => arrived = resolve);
    const { transport } = question.way;
    const hostname = udp.localAddr.hostname;
    const socket = scope.keep(
      await transport.datagrams({ hostname, port: 0 }, (bytes) => {
        const payload = decodeDatagram(bytes)?.payload;
        if (!payload) return;
        const tokens = payload.join();
        if (tokens === marker.token.join()) arrived();
        else if (tokens === both) fate = "whole";
        else fate ??= "pieces";
      }),
    );
    const send = (payload: Uint8Array, fragment: number) =>
      sendTo(socket, udp, encodeDatagram({ ...target, payload, fragment }));
    scope.keep(repeat(() => {
      send(one.token, 1);
      send(other.token, 0x82);
      send(marker.token, 0);
    }));
    await isMarked;
    asking.replied();
    await new Promise((resolve) => setTimeout(resolve, GRACE));
    if (fate === "whole") return { detail: "reassembled" };
    if (fate === "pieces") {
      throw new NetError("other", "relays each fragment as a datagram");
    }
    throw new NetError("other", "drops fragments, as the RFC allows");
  });
}

function sendTo(
  socket: DatagramSocket,
  { relayAddr }: UdpAssociation,
  bytes: Uint8Array,
): void {
  socket.send(bytes, relayAddr.hostname, relayAddr.port);
}
