// The imports that it writes have to be ones that Node can follow.
export default {
  input: "openapi.json",
  output: { path: "hey_api", module: { extension: ".js" } },
};
