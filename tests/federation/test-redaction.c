#include "fixture.h"

#include "crypto/base64.h"
#include "crypto/hash.h"

#include <string.h>

static const struct {
  const char *version;
  CmRedaction redaction;
} algorithms[] = {
  { "1", CM_REDACTION_V1 },  { "2", CM_REDACTION_V1 },   { "3", CM_REDACTION_V1 },
  { "4", CM_REDACTION_V1 },  { "5", CM_REDACTION_V1 },   { "6", CM_REDACTION_V6 },
  { "7", CM_REDACTION_V6 },  { "8", CM_REDACTION_V8 },   { "9", CM_REDACTION_V9 },
  { "10", CM_REDACTION_V9 }, { "11", CM_REDACTION_V11 }, { "12", CM_REDACTION_V11 },
};

static char *
redact (CmRedaction redaction, const CmJson *event)
{
  g_autoptr (GBytes) bytes = cm_redaction_apply (redaction, event, NULL);
  return g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

/* Each row: the versions in which content keeps what is expected. All content that any rule speaks
 * of is there, and more. */
static const struct {
  const char *type;
  int from;
  int to;
  const char *content;
  const char *expected;
} contents[] = {
  { "m.room.message", 1, 12, "{'body':'x','membership':'join'}", "{}" },
  { "m.room.topic", 1, 12, "{'topic':'x'}", "{}" },
  { "m.room.encryption", 1, 12, "{'algorithm':'x'}", "{}" },
  { "m.room.server_acl", 1, 12, "{'allow':['*'],'deny':[]}", "{}" },
  { "m.room.third_party_invite", 1, 12, "{'public_key':'x'}", "{}" },
  { "m.room.aliases", 1, 5, "{'aliases':['#a:b'],'more':1}", "{'aliases':['#a:b']}" },
  { "m.room.aliases", 6, 12, "{'aliases':['#a:b'],'more':1}", "{}" },
  { "m.room.create", 1, 10, "{'creator':'@a:b','m.federate':false,'room_version':'9'}",
    "{'creator':'@a:b'}" },
  { "m.room.create", 11, 12, "{'additional_creators':[],'m.federate':false,'z':{'y':1}}",
    "{'additional_creators':[],'m.federate':false,'z':{'y':1}}" },
  { "m.room.history_visibility", 1, 12, "{'history_visibility':'shared','more':1}",
    "{'history_visibility':'shared'}" },
  { "m.room.join_rules", 1, 7, "{'allow':[1],'join_rule':'restricted','more':1}",
    "{'join_rule':'restricted'}" },
  { "m.room.join_rules", 8, 12, "{'allow':[1],'join_rule':'restricted','more':1}",
    "{'allow':[1],'join_rule':'restricted'}" },
  { "m.room.member", 1, 8,
    "{'displayname':'x','join_authorised_via_users_server':'@a:b','membership':'join'}",
    "{'membership':'join'}" },
  { "m.room.member", 9, 12,
    "{'displayname':'x','join_authorised_via_users_server':'@a:b','membership':'join'}",
    "{'join_authorised_via_users_server':'@a:b','membership':'join'}" },
  { "m.room.member", 1, 10,
    "{'membership':'invite','third_party_invite':{'display_name':'x','signed':{'token':'t'}}}",
    "{'membership':'invite'}" },
  { "m.room.member", 11, 12,
    "{'membership':'invite','third_party_invite':{'display_name':'x','signed':{'token':'t'}}}",
    "{'membership':'invite','third_party_invite':{'signed':{'token':'t'}}}" },
  { "m.room.member", 11, 12, "{'membership':'invite','third_party_invite':'x'}",
    "{'membership':'invite'}" },
  { "m.room.power_levels", 1, 10,
    "{'ban':1,'events':{'x':2},'events_default':3,'invite':4,'kick':5,'notifications':{'room':6},"
    "'redact':7,'state_default':8,'users':{'@a:b':9},'users_default':10}",
    "{'ban':1,'events':{'x':2},'events_default':3,'kick':5,"
    "'redact':7,'state_default':8,'users':{'@a:b':9},'users_default':10}" },
  { "m.room.power_levels", 11, 12,
    "{'ban':1,'events':{'x':2},'events_default':3,'invite':4,'kick':5,'notifications':{'room':6},"
    "'redact':7,'state_default':8,'users':{'@a:b':9},'users_default':10}",
    "{'ban':1,'events':{'x':2},'events_default':3,'invite':4,'kick':5,"
    "'redact':7,'state_default':8,'users':{'@a:b':9},'users_default':10}" },
  { "m.room.redaction", 1, 10, "{'reason':'x','redacts':'$a'}", "{}" },
  { "m.room.redaction", 11, 12, "{'reason':'x','redacts':'$a'}", "{'redacts':'$a'}" },
};

static void
test_content (void)
{
  for (gsize row = 0; row < G_N_ELEMENTS (contents); row++) {
    g_autoptr (CmJsonDoc) event =
        fixture_json ("{'content':%s,'type':'%s'}", contents[row].content, contents[row].type);
    g_autofree char *expected = g_strdelimit (
        g_strdup_printf ("{'content':%s,'type':'%s'}", contents[row].expected, contents[row].type),
        "'", '"');
    for (int i = contents[row].from - 1; i < contents[row].to; i++) {
      g_autofree char *pruned = redact (algorithms[i].redaction, cm_json_doc_root (event));
      g_test_message ("%s in room version %s", contents[row].type, algorithms[i].version);
      g_assert_cmpstr (pruned, ==, expected);
    }
  }
}

static void
test_members (void)
{
  g_autoptr (CmJsonDoc) event = fixture_json (
      "{'auth_events':['$a'],'content':{},'custom':1,'depth':2,'event_id':'$b','hashes':{},"
      "'membership':'join','origin':'o','origin_server_ts':3,'prev_events':['$c'],'prev_state':[],"
      "'redacts':'$d','room_id':'!r','sender':'@s','signatures':{'x':{}},'state_key':'','type':'t',"
      "'unsigned':{}}");

  for (gsize i = 0; i < G_N_ELEMENTS (algorithms); i++) {
    gboolean old = i < 10;
    g_autofree char *expected = g_strdelimit (
        g_strconcat ("{'auth_events':['$a'],'content':{},'depth':2,'event_id':'$b','hashes':{},",
                     old ? "'membership':'join','origin':'o'," : "",
                     "'origin_server_ts':3,'prev_events':['$c'],", old ? "'prev_state':[]," : "",
                     "'room_id':'!r','sender':'@s','signatures':{'x':{}},'state_key':'',"
                     "'type':'t'}",
                     NULL),
        "'", '"');
    g_autofree char *pruned = redact (algorithms[i].redaction, cm_json_doc_root (event));
    g_test_message ("room version %s", algorithms[i].version);
    g_assert_cmpstr (pruned, ==, expected);
  }
}

/* A key with U+0000 is another key than its front. */
static void
test_nul_keys (void)
{
  g_autoptr (CmJsonDoc) event = fixture_json (
      "{'content':{'membership\\u0000x':'ban'},'sender\\u0000':1,'type':'m.room.member'}");
  g_autofree char *pruned = redact (CM_REDACTION_V11, cm_json_doc_root (event));

  g_assert_cmpstr (pruned, ==, "{\"content\":{},\"type\":\"m.room.member\"}");
}

/* Row redaction-special-targets: rooms of 10 to 12 keep what makes them what they are, however
 * often they are redacted. */
static void
test_special_targets (void)
{
  for (const CmRoomVersion *version = cm_room_versions (); version->name != NULL; version++) {
    g_autoptr (CmEvent) create = fixture_event (
        version->name, "$create",
        "{'content':{'creator':'@a:b','room_version':'%s'},'room_id':'!r:b','sender':'@a:b',"
        "'state_key':'','type':'m.room.create'}",
        version->name);
    g_autoptr (CmEvent) once = cm_event_redact (create, "$1", NULL);
    g_autoptr (CmEvent) twice = cm_event_redact (once, "$2", NULL);

    g_assert_cmpstr (cm_json_get_text (once->content, "creator"), ==, "@a:b");
    g_assert_true (g_bytes_equal (once->bytes, twice->bytes));
    g_assert_true (version->create_has_creator ||
                   cm_json_get_text (once->content, "room_version") != NULL);
  }
}

/* Appendices, "Event Signing", the event with redactable content: what is signed is what redaction
 * leaves. */
static void
test_signing_vector (void)
{
  static const char *const unhashed[] = { "hashes", "signatures", "unsigned", NULL };
  g_autoptr (CmSigningKey) key = fixture_key ();
  g_autoptr (CmJsonDoc) bare = fixture_json (
      "{'content':{'body':'Here is the message content'},'event_id':'$0:domain','origin':'domain',"
      "'origin_server_ts':1000000,'type':'m.room.message','room_id':'!r:domain',"
      "'sender':'@u:domain','signatures':{},'unsigned':{'age_ts':1000000}}");
  g_autoptr (GBytes) bytes = cm_json_canonical (cm_json_doc_root (bare), unhashed, NULL);
  guint8 digest[CM_SHA256_SIZE];

  cm_sha256 (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), digest);
  g_autofree char *hash = cm_base64_encode (digest, sizeof digest);
  g_assert_cmpstr (hash, ==, "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g");

  g_autofree char *hashes = g_strdup_printf ("{'sha256':'%s'}", hash);
  g_autoptr (CmJsonDoc) hashed = fixture_with (cm_json_doc_root (bare), "hashes", hashes);
  g_autoptr (GBytes) payload =
      cm_redaction_apply (CM_REDACTION_V1, cm_json_doc_root (hashed), "signatures");
  g_autofree char *signature =
      cm_signing_key_sign (key, g_bytes_get_data (payload, NULL), g_bytes_get_size (payload));
  g_assert_cmpstr (
      signature, ==,
      "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/redaction/content", test_content);
  g_test_add_func ("/redaction/members", test_members);
  g_test_add_func ("/redaction/json-nul/keys", test_nul_keys);
  g_test_add_func ("/redaction/redaction-special-targets", test_special_targets);
  g_test_add_func ("/redaction/signing-vector", test_signing_vector);
  return g_test_run ();
}
