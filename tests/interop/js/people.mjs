// Signs people in with matrix-js-sdk and its Rust crypto, and waits for what should happen.
import { createClient, MatrixError, Method } from "matrix-js-sdk";

const PATIENCE_MS = 60_000;

export async function until(what, found) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await found();
    if (value) return value;
    if (Date.now() > end) throw new Error(`timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A started client for {url, user, password}; `secrets` keeps the secret storage key between sessions of a person. */
export async function signIn({ url, user, password }, secrets = {}) {
  const login = await createClient({ baseUrl: url }).loginRequest({
    type: "m.login.password",
    identifier: { type: "m.id.user", user },
    password,
  });
  const client = createClient({
    baseUrl: url,
    userId: login.user_id,
    deviceId: login.device_id,
    accessToken: login.access_token,
    cryptoCallbacks: {
      getSecretStorageKey: async ({ keys }) => {
        const id = Object.keys(keys).find((key) => key in secrets);
        return id ? [id, secrets[id]] : null;
      },
      cacheSecretStorageKey: (id, _info, key) => {
        secrets[id] = key;
      },
    },
  });
  await client.initRustCrypto({ useIndexedDB: false });
  await client.startClient({ initialSyncLimit: 20 });
  await until(`${user} has synced`, () => client.isInitialSyncComplete());
  return client;
}

export async function signOut(client) {
  client.stopClient();
  await client.logout(true);
}

/** Answers user-interactive authentication with the person's password. */
export function withPassword(client, password) {
  return async (makeRequest) => {
    try {
      return await makeRequest(null);
    } catch (error) {
      if (!(error instanceof MatrixError) || error.httpStatus !== 401) throw error;
      return makeRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user: client.getUserId() },
        password,
        session: error.data.session,
      });
    }
  };
}

export async function createEncryptedRoom(client, options = {}) {
  const { room_id: roomId } = await client.createRoom({
    preset: "private_chat",
    initial_state: [
      { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } },
      ...(options.initial_state ?? []),
    ],
    invite: options.invite ?? [],
  });
  await until("the new room is known", () => client.getRoom(roomId));
  return roomId;
}

export async function acceptInvite(client, roomId) {
  await until("the invite arrives", () => client.getRoom(roomId)?.getMyMembership() === "invite");
  await client.joinRoom(roomId);
  await until("the room is joined", () => client.getRoom(roomId)?.getMyMembership() === "join");
}

export const joinedMembers = (client, roomId) =>
  client.getRoom(roomId).getJoinedMembers().map((member) => member.userId);

/** How many room keys the backup on the server holds. */
export async function keysInBackup(client) {
  const { count } = await client.http.authedRequest(Method.Get, "/room_keys/version");
  return count;
}

/** Sends, and gives the event's id. */
export async function say(client, roomId, body) {
  const { event_id: eventId } = await client.sendTextMessage(roomId, body);
  return eventId;
}

/** The event, once it is here and readable; it must have come encrypted. */
export async function hear(client, roomId, eventId) {
  const event = await until(`${client.getUserId()} can read ${eventId}`, () => {
    const found = client.getRoom(roomId)?.findEventById(eventId);
    return found && !found.isDecryptionFailure() && found.getType() === "m.room.message" ? found : null;
  });
  if (event.getWireType() !== "m.room.encrypted") throw new Error(`${eventId} was sent in the clear`);
  return event.getContent().body;
}

export function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}
