#include "room-fixture.h"

#include <string.h>

static void
append_key (const char *type, const char *state_key, gpointer data)
{
  g_string_append_printf (data, "%s|%s ", type + strlen ("m.room."), state_key);
}

/* server-server, "Auth events selection" */
static const struct {
  const char *type;
  const char *sender;
  const char *state_key;
  const char *content;
  const char *keys; /* of versions 10 and 11; version 12 leaves out create */
} selections[] = {
  { "m.room.create", "@a:b", "", "{}", "" },
  { "m.room.message", "@a:b", NULL, "{'membership':'join'}", "create| power_levels| member|@a:b " },
  { "m.room.topic", "@a:b", "", "{}", "create| power_levels| member|@a:b " },
  { "m.room.member", "@a:b", "@c:d", "{'membership':'leave'}",
    "create| power_levels| member|@a:b member|@c:d " },
  { "m.room.member", "@a:b", "@c:d", "{'membership':'ban'}",
    "create| power_levels| member|@a:b member|@c:d " },
  { "m.room.member", "@a:b", "@a:b", "{'membership':'join'}",
    "create| power_levels| member|@a:b join_rules| " },
  { "m.room.member", "@a:b", "@a:b", "{'membership':'knock'}",
    "create| power_levels| member|@a:b join_rules| " },
  { "m.room.member", "@a:b", "@c:d", "{'membership':'invite'}",
    "create| power_levels| member|@a:b member|@c:d join_rules| " },
  { "m.room.member", "@a:b", "@c:d",
    "{'membership':'invite','third_party_invite':{'signed':{'token':'t'}}}",
    "create| power_levels| member|@a:b member|@c:d join_rules| third_party_invite|t " },
  { "m.room.member", "@a:b", "@c:d",
    "{'membership':'join','third_party_invite':{'signed':{'token':'t'}}}",
    "create| power_levels| member|@a:b member|@c:d join_rules| " },
  { "m.room.member", "@a:b", "@c:d", "{'membership':'invite','third_party_invite':{'signed':{}}}",
    "create| power_levels| member|@a:b member|@c:d join_rules| " },
  { "m.room.member", "@a:b", "@a:b",
    "{'membership':'join','join_authorised_via_users_server':'@e:f'}",
    "create| power_levels| member|@a:b join_rules| member|@e:f " },
  { "m.room.member", "@a:b", "@a:b",
    "{'membership':'join','join_authorised_via_users_server':'@a:b'}",
    "create| power_levels| member|@a:b join_rules| " },
  { "m.room.member", "@a:b", "@a:b",
    "{'membership':'leave','join_authorised_via_users_server':'@e:f'}",
    "create| power_levels| member|@a:b " },
};

static void
test_selection (void)
{
  for (const CmRoomVersion *version = cm_room_versions (); version->name != NULL; version++)
    for (gsize i = 0; i < G_N_ELEMENTS (selections); i++) {
      g_autoptr (CmJsonDoc) content = fixture_json ("%s", selections[i].content);
      g_autoptr (GString) keys = g_string_new (NULL);
      const char *expected = selections[i].keys;
      cm_auth_keys (version, selections[i].type, selections[i].sender, selections[i].state_key,
                    cm_json_doc_root (content), append_key, keys);
      if (strcmp (version->name, "12") == 0 && expected[0] != '\0')
        expected += strlen ("create| ");
      g_assert_cmpstr (keys->str, ==, expected);
    }
}

typedef struct {
  RoomFixture *room;
  GPtrArray *auth;
} Judgement;

static void
add_auth (Judgement *judgement, const char *type, const char *state_key)
{
  const CmEvent *event = room_fixture_state (judgement->room, type, state_key);
  g_assert_nonnull (event);
  g_ptr_array_add (judgement->auth, (gpointer) event);
}

/* An event that @mod:a sends, with the right auth events but for m.room.create. */
static void
judgement_init (Judgement *judgement, const char *version)
{
  judgement->room = room_fixture_new (version);
  judgement->auth = g_ptr_array_new ();
  add_auth (judgement, "m.room.power_levels", "");
  add_auth (judgement, "m.room.member", "@mod:a");
}

static void
judgement_clear (Judgement *judgement)
{
  g_ptr_array_unref (judgement->auth);
  room_fixture_free (judgement->room);
}

static void
assert_judged (Judgement *judgement, const char *json, const char *rule)
{
  g_autoptr (CmEvent) event = room_fixture_event (judgement->room, json);
  g_autoptr (GError) error = NULL;
  gboolean allowed = cm_auth_check_auth_events (event, judgement->auth, &error);

  g_assert_cmpint (allowed, ==, rule == NULL);
  if (rule == NULL)
    return;
  g_autofree char *number = g_strdup_printf (" (rule %s)", rule);
  g_assert_error (error, CM_ERROR, CM_ERROR_FORBIDDEN);
  if (!g_str_has_suffix (error->message, number))
    g_error ("%s, not%s", error->message, number);
}

#define TOPIC "{'type':'m.room.topic','state_key':'','sender':'@mod:a','content':{}}"

static const struct {
  const char *version;
  const char *rule; /* the one that speaks of auth_events */
} versions[] = { { "10", "2" }, { "11", "2" }, { "12", "3" } };

/* Rule 2 (3 in version 12), part by part; CVE-2022-31152. */
static void
test_rules (gconstpointer data)
{
  gsize row = GPOINTER_TO_SIZE (data);
  gboolean hashed = strcmp (versions[row].version, "12") == 0;
  const char *rule = versions[row].rule;
  g_autofree char *duplicate = g_strconcat (rule, ".1", NULL);
  g_autofree char *surplus = g_strconcat (rule, ".2", NULL);
  g_autofree char *rejected = g_strconcat (rule, ".3", NULL);
  g_autofree char *cross_room = g_strconcat (rule, ".5", NULL);
  Judgement judgement;

  judgement_init (&judgement, versions[row].version);
  assert_judged (&judgement, TOPIC, hashed ? NULL : "2.4");
  add_auth (&judgement, "m.room.create", "");
  assert_judged (&judgement, TOPIC, hashed ? surplus : NULL);
  if (hashed)
    g_ptr_array_set_size (judgement.auth, 2);
  guint right = judgement.auth->len;

  assert_judged (&judgement,
                 "{'type':'t','sender':'@mod:a','content':{},'auth_events':['$a','$b','$a']}",
                 duplicate);
  add_auth (&judgement, "m.room.power_levels", "");
  assert_judged (&judgement, TOPIC, duplicate);

  const char *const unneeded[][2] = { { "m.room.member", "@user:b" },
                                      { "m.room.join_rules", "" },
                                      { "m.room.third_party_invite", "tok" } };
  for (gsize i = 0; i < G_N_ELEMENTS (unneeded); i++) {
    g_ptr_array_set_size (judgement.auth, (int) right);
    add_auth (&judgement, unneeded[i][0], unneeded[i][1]);
    assert_judged (&judgement, TOPIC, surplus);
  }

  /* A message of that type is no state. */
  g_autoptr (CmEvent) message = room_fixture_event (
      judgement.room, "{'type':'m.room.power_levels','sender':'@mod:a','content':{}}");
  g_ptr_array_set_size (judgement.auth, (int) right);
  g_ptr_array_add (judgement.auth, message);
  assert_judged (&judgement, TOPIC, surplus);

  g_ptr_array_set_size (judgement.auth, (int) right);
  CmEvent *power = g_ptr_array_index (judgement.auth, 0);
  power->flags = CM_EVENT_SOFT_FAILED;
  assert_judged (&judgement, TOPIC, NULL);
  power->flags = CM_EVENT_REJECTED;
  assert_judged (&judgement, TOPIC, rejected);
  power->flags = 0;

  /* MSC4307: the attacker's own room may not speak for this one. */
  g_autoptr (CmEvent) foreign = room_fixture_event (
      judgement.room, "{'type':'m.room.member','state_key':'@mod:a','sender':'@mod:a','content':"
                      "{'membership':'join'},'room_id':'!other:b'}");
  judgement.auth->pdata[1] = foreign;
  assert_judged (&judgement, TOPIC, cross_room);
  judgement_clear (&judgement);
}

/* The selection for a create event is empty. */
static void
test_create (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (versions); i++) {
    g_autofree char *surplus = g_strconcat (versions[i].rule, ".2", NULL);
    Judgement judgement;

    judgement_init (&judgement, versions[i].version);
    assert_judged (&judgement,
                   "{'type':'m.room.create','state_key':'','sender':'@a:b','content':{}}", surplus);
    g_ptr_array_set_size (judgement.auth, 0);
    assert_judged (&judgement,
                   "{'type':'m.room.create','state_key':'','sender':'@a:b','content':{}}", NULL);
    judgement_clear (&judgement);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/auth-events/selection", test_selection);
  for (gsize i = 0; i < G_N_ELEMENTS (versions); i++) {
    g_autofree char *path = g_strdup_printf ("/auth-events/CVE-2022-31152/event-auth-cross-room/%s",
                                             versions[i].version);
    g_test_add_data_func (path, GSIZE_TO_POINTER (i), test_rules);
  }
  g_test_add_func ("/auth-events/create", test_create);
  return g_test_run ();
}
