// node scenarios.mjs NAME '{"alice": {"url", "user", "password"}, "bob": {...}, "carol": {...}}'
// Ends with status 0 when the scenario holds. alice is at one company, bob and carol are at another.
import { acceptInvite, createEncryptedRoom, equal, hear, joinedMembers, keysInBackup, say, signIn, signOut, until, withPassword } from "./people.mjs";

async function talk(people) {
  const alice = await signIn(people.alice);
  const bob = await signIn(people.bob);
  const roomId = await createEncryptedRoom(alice, { invite: [bob.getUserId()] });
  await acceptInvite(bob, roomId);
  await until("alice sees bob", () => joinedMembers(alice, roomId).includes(bob.getUserId()));

  for (const [from, to, body] of [
    [alice, bob, "Good morning, Globex"],
    [bob, alice, "Good morning, Acme"],
    [alice, bob, "Shall we sign? \u{1F58B}"],
    [bob, alice, "We shall"],
  ]) {
    equal(await hear(to, roomId, await say(from, roomId, body)), body, "what was decrypted");
  }
  await signOut(alice);
  await signOut(bob);
}

async function lateJoiner(people) {
  const alice = await signIn(people.alice);
  const bob = await signIn(people.bob);
  const roomId = await createEncryptedRoom(alice, {
    invite: [bob.getUserId()],
    initial_state: [{ type: "m.room.history_visibility", state_key: "", content: { history_visibility: "joined" } }],
  });
  await acceptInvite(bob, roomId);
  await until("alice sees bob", () => joinedMembers(alice, roomId).includes(bob.getUserId()));
  const hidden = await say(alice, roomId, "Not for carol");
  await hear(bob, roomId, hidden);

  const carol = await signIn(people.carol);
  await alice.invite(roomId, carol.getUserId());
  await acceptInvite(carol, roomId);
  await until("alice sees carol", () => joinedMembers(alice, roomId).includes(carol.getUserId()));
  const open = await say(alice, roomId, "Welcome, carol");
  equal(await hear(carol, roomId, open), "Welcome, carol", "what carol decrypted");

  for (let token = null, page = 0; page < 20; page++) {
    const { chunk, end } = await carol.createMessagesRequest(roomId, token, 50, "b");
    if (chunk.some((event) => event.event_id === hidden)) throw new Error("carol pages back to what she may not see");
    if (!end) break;
    token = end;
  }
  const refusal = await carol.fetchRoomEvent(roomId, hidden).then(
    () => null,
    (error) => error.httpStatus,
  );
  if (refusal !== 403 && refusal !== 404) throw new Error(`carol asked for the hidden event and got ${refusal}`);
  for (const client of [alice, bob, carol]) await signOut(client);
}

async function restoreFromBackup(people) {
  const secrets = {};
  const alice = await signIn(people.alice, secrets);
  const bob = await signIn(people.bob);
  const crypto = alice.getCrypto();
  await crypto.bootstrapCrossSigning({
    authUploadDeviceSigningKeys: withPassword(alice, people.alice.password),
  });
  await crypto.bootstrapSecretStorage({
    createSecretStorageKey: () => crypto.createRecoveryKeyFromPassphrase(),
    setupNewSecretStorage: true,
    setupNewKeyBackup: true,
  });
  const roomId = await createEncryptedRoom(alice, { invite: [bob.getUserId()] });
  await acceptInvite(bob, roomId);
  await until("alice sees bob", () => joinedMembers(alice, roomId).includes(bob.getUserId()));
  const eventId = await say(bob, roomId, "Keep this");
  await hear(alice, roomId, eventId);
  await until("the key is in the backup", async () => (await keysInBackup(alice)) > 0);
  await signOut(alice);

  const again = await signIn(people.alice, secrets);
  await again.getCrypto().loadSessionBackupPrivateKeyFromSecretStorage();
  const restored = await again.getCrypto().restoreKeyBackup();
  if (restored.imported < 1) throw new Error("nothing was restored");
  equal(await hear(again, roomId, eventId), "Keep this", "what the new device decrypted");
  await signOut(again);
  await signOut(bob);
}

const scenarios = { talk, lateJoiner, restoreFromBackup };
const [name, people] = process.argv.slice(2);
await scenarios[name](JSON.parse(people));
console.log(`ok ${name}`);
process.exit(0);
