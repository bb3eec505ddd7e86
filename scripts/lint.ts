/// <reference lib="deno.unstable" />

/**
 * This project's own lint rule.
 *
 * @module
 */

/** Where functions are made for each session. */
const ROOMS = /\/src\/(client|protocol|server|transport)\//;

const isFunction = ({ type }: Deno.lint.Node): boolean =>
  type === "ArrowFunctionExpression" || type === "FunctionExpression";

/**
 * V8 takes a function literal that is assigned to a property (`it.x = () => y`)
 * for a method, and puts it into the old generation. One that is made for a
 * session keeps all of it, long after its end, until the next full garbage
 * collection, and each one before copies what it keeps. A function that has a
 * name first, or is a value of an object literal, or of a field, is as young
 * as other objects.
 */
const plugin: Deno.lint.Plugin = {
  name: "house",
  rules: {
    "no-old-functions": {
      create(context) {
        if (!ROOMS.test(context.filename)) return {};
        return {
          AssignmentExpression(node) {
            if (node.left.type !== "MemberExpression") return;
            if (!isFunction(node.right)) return;
            context.report({
              node,
              message: "V8 never lets go of such a function early",
              hint: "Put the function into a constant, and assign that",
            });
          },
        };
      },
    },
  },
};

export default plugin;
