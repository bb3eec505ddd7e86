/**
 * Questions before acts that cannot be undone.
 *
 * @module
 */

import type { Elements } from "./elements.ts";

/** A question that is answered with yes or no. */
export interface Question {
  readonly title: string;
  readonly text: string;
  /** The button that says yes, named after the act. */
  readonly yes: string;
}

/** Asks, and resolves with whether the answer was yes. */
export type Confirm = (question: Question) => Promise<boolean>;

/** Part of the page's script: must not refer to anything outside. */
export function dialogs({ get, setText }: Elements): Confirm {
  const [dialog, yes, no] = ["dialog", "dialog-yes", "dialog-no"].map(get);
  let answer: ((isYes: boolean) => void) | undefined;
  yes.addEventListener("click", () => dialog.close("yes"));
  no.addEventListener("click", () => dialog.close("no"));
  // Also after Escape, which leaves the value as it is.
  dialog.addEventListener("close", () => {
    answer?.(dialog.returnValue === "yes");
    answer = undefined;
  });
  return (question) => {
    setText(get("dialog-title"), question.title);
    setText(get("dialog-text"), question.text);
    setText(yes, question.yes);
    dialog.returnValue = "no";
    dialog.showModal();
    no.focus();
    return new Promise((resolve) => answer = resolve);
  };
}
