/// <reference lib="deno.unstable" />

/**
 * The lint rule of this project.
 *
 * @module
 */

/** The folders whose code creates functions for each session. */
const ROOMS = /\/src\/(client|protocol|server|transport)\//;

const isFunction = ({ type }: Deno.lint.Node): boolean =>
  type === "ArrowFunctionExpression" || type === "FunctionExpression";

/**
 * V8 treats a function literal that is assigned to a property (`it.x = () => y`)
 * as a method and allocates it in the old generation. Such a function of a
 * session keeps the whole session alive after its end, until the next full
 * garbage collection, and each minor collection before copies the session. A
 * function that is assigned to a variable first, or that is a value of an object
 * literal or of a field, is allocated in the young generation as other objects.
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
              message: "V8 allocates such a function in the old generation",
              hint:
                "Assign the function to a constant, and the constant to the property",
            });
          },
        };
      },
    },
  },
};

export default plugin;
