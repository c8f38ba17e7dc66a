// What the pages have in common: requests, passkeys as JSON, and where to go on.

const told = document.getElementById("told");

export function byId(name) {
  return document.getElementById(name);
}

export function tell(text) {
  told.textContent = text;
}

export async function send(method, path, body, csrf) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (csrf) headers["Seawall-Csrf"] = csrf;
  const answer = await fetch("/api" + path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    redirect: "error",
  });
  const content = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) {
    const { code, message, help } = content.error;
    throw Object.assign(new Error(`${message}: ${help}`), { code });
  }
  return content;
}

// Does one thing at a time, and says what went wrong.
export function doing(element, event, work) {
  element.addEventListener(event, async (happened) => {
    happened.preventDefault();
    const buttons = [...document.querySelectorAll("button")].filter((one) => !one.disabled);
    buttons.forEach((one) => { one.disabled = true; });
    tell("");
    try {
      await work();
    } catch (error) {
      tell(error.name === "NotAllowedError" ? "No passkey was used." : error.message);
    } finally {
      buttons.forEach((one) => { one.disabled = false; });
    }
  });
}

export function show(name, heading) {
  for (const section of document.querySelectorAll("main > section, main > form")) {
    section.hidden = section.id !== name;
  }
  if (heading) byId(heading).focus();
}

// Only a path of this very server: everything else is left alone.
export function goOn() {
  const back = new URLSearchParams(location.search).get("return");
  if (back === null || !/^\/(?![/\\])/.test(back) || /[\\\u0000-\u001f]/.test(back)) return false;
  const url = new URL(back, location.origin);
  if (url.origin !== location.origin) return false;
  location.assign(url.href);
  return true;
}

function bytes(text) {
  const raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
}

function text(buffer) {
  const raw = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(raw).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function needPasskeys() {
  if (!window.PublicKeyCredential) throw new Error("This browser has no passkeys.");
}

export async function getPasskey(options) {
  needPasskeys();
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: [] };
  const made = await navigator.credentials.get({ publicKey });
  const { clientDataJSON, authenticatorData, signature, userHandle } = made.response;
  return {
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: text(clientDataJSON),
      authenticatorData: text(authenticatorData),
      signature: text(signature),
      ...(userHandle && userHandle.byteLength ? { userHandle: text(userHandle) } : {}),
    },
  };
}

export async function makePasskey(options) {
  needPasskeys();
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: [],
  };
  const made = await navigator.credentials.create({ publicKey });
  const { clientDataJSON, attestationObject } = made.response;
  return {
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: text(clientDataJSON),
      attestationObject: text(attestationObject),
      transports: made.response.getTransports ? made.response.getTransports() : [],
    },
  };
}
