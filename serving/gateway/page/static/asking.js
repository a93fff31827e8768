// Asks the gateway, with the token of this tab where there is one.

const KEY = "almanac-token";

// status 0: the gateway could not be reached.
export class AskError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const hasToken = () => sessionStorage.getItem(KEY) !== null;
export const keepToken = token => sessionStorage.setItem(KEY, token);
export const forgetToken = () => sessionStorage.removeItem(KEY);

// The JSON answer of a route; `body` makes it a POST.
export async function ask(path, { body, signal } = {}) {
  const headers = {};
  const token = sessionStorage.getItem(KEY);
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const request = { method: body === undefined ? "GET" : "POST", headers, signal, cache: "no-store", body: body && JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new AskError("The gateway cannot be reached.", 0);
  }
  const document = await answer.json().catch(error => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  if (!answer.ok) throw new AskError(document?.error ?? `The gateway answered with status ${answer.status}.`, answer.status);
  if (document === null) throw new AskError("The answer of the gateway is not JSON.", answer.status);
  return document;
}
