#include "fixture.h"

#include <string.h>

#define MESSAGE                                                                                    \
  "{'auth_events':[],'content':{'body':'h\\u00e9llo \\ud83d\\ude00 \\n','msgtype':'m.text'},"      \
  "'depth':3,'origin':'domain','origin_server_ts':1000000,'prev_events':[],"                       \
  "'room_id':'!x:domain','sender':'@a:domain','type':'m.room.message'}"

#define CREATE_12                                                                                  \
  "{'auth_events':[],'content':{'room_version':'12'},'depth':1,'origin_server_ts':1000000,"        \
  "'prev_events':[],'sender':'@a:domain','state_key':'','type':'m.room.create'}"

static const CmRoomVersion *
version (const char *name)
{
  return cm_room_version_find (name);
}

static CmEvent *
build (const char *version_name, const CmJson *object, GError **error)
{
  g_autoptr (CmSigningKey) key = fixture_key ();
  return cm_event_build (version (version_name), object, "domain", key, error);
}

static CmEvent *
build_text (const char *version_name, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) doc = fixture_json ("%s", text);
  CmEvent *event = build (version_name, cm_json_doc_root (doc), &error);
  g_assert_no_error (error);
  return event;
}

static const char *
hash_of (const CmEvent *event)
{
  return cm_json_get_text (cm_json_get (event->json, "hashes"), "sha256");
}

static const char *
signature_of (const CmEvent *event, const char *server, const char *key_id)
{
  return cm_json_get_text (cm_json_get (cm_json_get (event->json, "signatures"), server), key_id);
}

static void
test_versions (void)
{
  const char *const unknown[] = { "", "1", "9", "13", "010", "10 ", "org.matrix.x" };

  for (const CmRoomVersion *row = cm_room_versions (); row->name != NULL; row++)
    g_assert_true (cm_room_version_find (row->name) == row);
  for (gsize i = 0; i < G_N_ELEMENTS (unknown); i++)
    g_assert_null (cm_room_version_find (unknown[i]));
  g_assert_null (cm_room_version_find (NULL));
  g_assert_nonnull (cm_room_version_find (CM_ROOM_VERSION_DEFAULT));
}

/* Appendices, "Event Signing", the minimally-sized event. */
static void
test_signing_vector (void)
{
  g_autoptr (CmEvent) event = build_text (
      "10", "{'room_id':'!x:domain','sender':'@a:domain','origin':'domain',"
            "'origin_server_ts':1000000,'signatures':{},'hashes':{},'type':'X','content':{},"
            "'prev_events':[],'auth_events':[],'depth':3,'unsigned':{'age_ts':1000000}}");

  g_assert_cmpstr (hash_of (event), ==, "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos");
  g_assert_cmpstr (
      signature_of (event, "domain", "ed25519:1"), ==,
      "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg");
  g_assert_true (cm_event_hash_matches (event));
}

/* Ids from another implementation of "Calculating the reference hash for an event" (Python's json
 * and hashlib). */
static void
test_event_id (void)
{
  g_autoptr (CmEvent) ten = build_text ("10", MESSAGE);
  g_autoptr (CmEvent) eleven = build_text ("11", MESSAGE);
  g_autoptr (CmEvent) create = build_text ("12", CREATE_12);

  g_assert_cmpstr (hash_of (ten), ==, "LihlYCdwMw7GXYfdSNKKGoL6xZkchll1iONv2YK8J9o");
  g_assert_cmpstr (ten->event_id, ==, "$jbnAZPiRXuRPe-bCooxXebpY0JfPH6PytJMYzoUcuCI");
  g_assert_cmpstr (eleven->event_id, ==, "$nxJYhH1AORdDFp4zjxe6C6CCU5INL3HZ5eMs0upIAOA");
  g_assert_cmpstr (create->event_id, ==, "$P5-6WTYQ_woy6f4nmleE0XqxjtZcyKGza5_gDN-KAdM");
  g_assert_cmpstr (create->room_id, ==, "!P5-6WTYQ_woy6f4nmleE0XqxjtZcyKGza5_gDN-KAdM");
  g_assert_cmpstr (ten->room_id, ==, "!x:domain");
}

static void
test_fields (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) event = build_text (
      "11", "{'auth_events':[],'content':{'membership':'join'},'depth':7,'origin_server_ts':-5,"
            "'prev_events':[],'room_id':'!x:domain','sender':'@a:domain','state_key':'@a:domain',"
            "'type':'m.room.member'}");
  g_autoptr (CmEvent) loaded =
      cm_event_load (event->version, event->bytes, event->event_id, &error);

  g_assert_no_error (error);
  for (gsize i = 0; i < 2; i++) {
    const CmEvent *one = i == 0 ? event : loaded;
    g_assert_true (cm_event_is (one, "m.room.member", "@a:domain"));
    g_assert_false (cm_event_is (one, "m.room.member", NULL));
    g_assert_false (cm_event_is (one, "m.room.member", "@b:domain"));
    g_assert_cmpstr (cm_event_membership (one), ==, "join");
    g_assert_cmpint (one->depth, ==, 7);
    g_assert_cmpint (one->origin_server_ts, ==, -5);
    g_assert_cmpstr (one->event_id, ==, event->event_id);
    g_assert_cmpstr (one->room_id, ==, "!x:domain");
    g_assert_null (one->redacts);
  }
}

static void
test_redacts (void)
{
#define REDACTION                                                                                  \
  "{'auth_events':[],'content':{'redacts':'$new'},'depth':7,'origin_server_ts':5,"                 \
  "'prev_events':[],'redacts':'$old','room_id':'!x:domain','sender':'@a:domain',"                  \
  "'type':'m.room.redaction'}"
  g_autoptr (CmEvent) ten = build_text ("10", REDACTION);
  g_autoptr (CmEvent) eleven = build_text ("11", REDACTION);

  g_assert_cmpstr (ten->redacts, ==, "$old");
  g_assert_cmpstr (eleven->redacts, ==, "$new");
}

/* A member replaced (NULL: taken away), and what parsing says then; CM_ERROR_LAST: accepted. */
static const struct {
  const char *name;
  const char *key;
  const char *value;
  CmError code;
} formats[] = {
  { "control", "extra", "1", CM_ERROR_LAST },
  { "type/absent", "type", NULL, CM_ERROR_BAD_JSON },
  { "type/number", "type", "1", CM_ERROR_BAD_JSON },
  { "type/json-nul", "type", "'a\\u0000b'", CM_ERROR_BAD_JSON },
  { "sender/absent", "sender", NULL, CM_ERROR_BAD_JSON },
  { "sender/no-user-id", "sender", "'a:domain'", CM_ERROR_BAD_JSON },
  { "sender/no-domain", "sender", "'@a'", CM_ERROR_BAD_JSON },
  { "sender/json-nul", "sender", "'@a\\u0000:domain'", CM_ERROR_BAD_JSON },
  { "sender/historical", "sender", "'@A B\\u00e9:domain'", CM_ERROR_LAST },
  { "room-id/absent", "room_id", NULL, CM_ERROR_BAD_JSON },
  { "room-id/no-room-id", "room_id", "'#x:domain'", CM_ERROR_BAD_JSON },
  { "room-id/json-nul", "room_id", "'!x\\u0000:domain'", CM_ERROR_BAD_JSON },
  { "state-key/empty", "state_key", "''", CM_ERROR_LAST },
  { "state-key/null", "state_key", "null", CM_ERROR_BAD_JSON },
  { "state-key/number", "state_key", "0", CM_ERROR_BAD_JSON },
  { "state-key/json-nul", "state_key", "'\\u0000'", CM_ERROR_BAD_JSON },
  { "content/absent", "content", NULL, CM_ERROR_BAD_JSON },
  { "content/array", "content", "[]", CM_ERROR_BAD_JSON },
  { "content/string", "content", "'x'", CM_ERROR_BAD_JSON },
  { "content/json-nul", "content", "{'a\\u0000b':'c\\u0000d'}", CM_ERROR_LAST },
  { "content/CVE-2025-30355/float", "content", "{'a':1.5}", CM_ERROR_BAD_JSON },
  { "content/CVE-2025-30355/exponent", "content", "{'a':[1e3]}", CM_ERROR_BAD_JSON },
  { "content/CVE-2020-26890/2^53", "content", "{'a':9007199254740992}", CM_ERROR_BAD_JSON },
  { "content/CVE-2020-26890/2^64", "content", "{'a':18446744073709551617}", CM_ERROR_BAD_JSON },
  { "content/CVE-2020-26890/2^53-1", "content", "{'a':-9007199254740991}", CM_ERROR_LAST },
  { "depth/absent", "depth", NULL, CM_ERROR_BAD_JSON },
  { "depth/CVE-2025-30355/2^53-1", "depth", "9007199254740991", CM_ERROR_LAST },
  { "depth/CVE-2025-30355/2^53", "depth", "9007199254740992", CM_ERROR_BAD_JSON },
  { "depth/CVE-2025-30355/2^63-1", "depth", "9223372036854775807", CM_ERROR_BAD_JSON },
  { "depth/CVE-2025-30355/-2^53", "depth", "-9007199254740992", CM_ERROR_BAD_JSON },
  { "depth/CVE-2025-30355/negative", "depth", "-1", CM_ERROR_BAD_JSON },
  { "depth/CVE-2025-30355/float", "depth", "1.5", CM_ERROR_BAD_JSON },
  { "depth/CVE-2025-30355/exponent", "depth", "1e3", CM_ERROR_BAD_JSON },
  { "depth/event-auth-types/string", "depth", "'1'", CM_ERROR_BAD_JSON },
  { "depth/event-auth-types/true", "depth", "true", CM_ERROR_BAD_JSON },
  { "depth/event-auth-types/null", "depth", "null", CM_ERROR_BAD_JSON },
  { "origin-server-ts/absent", "origin_server_ts", NULL, CM_ERROR_BAD_JSON },
  { "origin-server-ts/CVE-2025-30355/2^53", "origin_server_ts", "9007199254740992",
    CM_ERROR_BAD_JSON },
  { "origin-server-ts/string", "origin_server_ts", "'1'", CM_ERROR_BAD_JSON },
  { "hashes/absent", "hashes", NULL, CM_ERROR_BAD_JSON },
  { "hashes/no-sha256", "hashes", "{'sha1':'x'}", CM_ERROR_BAD_JSON },
  { "hashes/number", "hashes", "{'sha256':1}", CM_ERROR_BAD_JSON },
  { "signatures/absent", "signatures", NULL, CM_ERROR_BAD_JSON },
  { "signatures/array", "signatures", "[]", CM_ERROR_BAD_JSON },
  { "signatures/flat", "signatures", "{'domain':'x'}", CM_ERROR_BAD_JSON },
  { "signatures/number", "signatures", "{'domain':{'ed25519:1':1}}", CM_ERROR_BAD_JSON },
  { "signatures/json-nul", "signatures", "{'domain\\u0000':{}}", CM_ERROR_BAD_JSON },
  { "prev-events/absent", "prev_events", NULL, CM_ERROR_BAD_JSON },
  { "prev-events/object", "prev_events", "{}", CM_ERROR_BAD_JSON },
  { "prev-events/pairs", "prev_events", "[['$a:b',{}]]", CM_ERROR_BAD_JSON },
  { "prev-events/no-event-id", "prev_events", "['a:b']", CM_ERROR_BAD_JSON },
  { "auth-events/absent", "auth_events", NULL, CM_ERROR_BAD_JSON },
  { "auth-events/number", "auth_events", "[1]", CM_ERROR_BAD_JSON },
  { "unsigned/string", "unsigned", "'x'", CM_ERROR_BAD_JSON },
};

static void
test_format (gconstpointer data)
{
  gsize row = GPOINTER_TO_SIZE (data);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) good = build_text ("11", MESSAGE);
  g_autoptr (CmJsonDoc) doc = fixture_with (good->json, formats[row].key, formats[row].value);
  g_autoptr (CmEvent) event = cm_event_parse (version ("11"), cm_json_doc_root (doc), &error);

  if (formats[row].code == CM_ERROR_LAST) {
    g_assert_no_error (error);
    g_assert_nonnull (event);
  } else {
    g_assert_null (event);
    fixture_assert_error (&error, formats[row].code);
  }
}

static void
assert_list_limit (const char *key, gsize limit)
{
  g_autoptr (CmEvent) good = build_text ("11", MESSAGE);

  for (gsize extra = 0; extra < 2; extra++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GString) list = g_string_new ("[");
    for (gsize i = 0; i < limit + extra; i++)
      g_string_append_printf (list, "%s'$%043" G_GSIZE_FORMAT "'", i > 0 ? "," : "", i);
    g_string_append_c (list, ']');
    g_autoptr (CmJsonDoc) doc = fixture_with (good->json, key, list->str);
    g_autoptr (CmEvent) event = cm_event_parse (version ("11"), cm_json_doc_root (doc), &error);
    g_assert_cmpint (event != NULL, ==, extra == 0);
  }
}

static void
test_list_limits (void)
{
  assert_list_limit ("prev_events", 20);
  assert_list_limit ("auth_events", 10);
}

/* A message whose whole canonical form has @size bytes. */
static CmEvent *
build_of_size (gsize size, GError **error)
{
  g_autoptr (CmJsonDoc) message = fixture_json ("%s", MESSAGE);
  g_autoptr (CmJsonDoc) empty = fixture_with (cm_json_doc_root (message), "content", "{'body':''}");
  g_autoptr (CmEvent) least = build ("11", cm_json_doc_root (empty), NULL);
  g_autofree char *fill = g_strnfill (size - g_bytes_get_size (least->bytes), 'x');
  g_autofree char *content = g_strdup_printf ("{'body':'%s'}", fill);
  g_autoptr (CmJsonDoc) full = fixture_with (cm_json_doc_root (message), "content", content);
  return build ("11", cm_json_doc_root (full), error);
}

/* Client-server, "Size limits": in bytes of the signed canonical form. */
static void
test_size (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) largest = build_of_size (65536, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (g_bytes_get_size (largest->bytes), ==, 65536);
  g_assert_null (build_of_size (65537, &error));
  fixture_assert_error (&error, CM_ERROR_TOO_LARGE);

  /* The limit is the same for what others send. */
  g_autoptr (CmJsonDoc) longer = fixture_with (largest->json, "x", "1");
  g_assert_null (cm_event_parse (version ("11"), cm_json_doc_root (longer), &error));
  fixture_assert_error (&error, CM_ERROR_TOO_LARGE);
}

/* @head, then characters of four bytes, then ASCII, @bytes in all. */
static void
assert_field_limit (const char *key, const char *head, const char *tail)
{
  g_autoptr (CmEvent) good = build_text ("11", MESSAGE);

  for (gsize bytes = 255; bytes <= 256; bytes++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GString) text = g_string_new (head);
    while (text->len + 4 + strlen (tail) <= bytes)
      g_string_append (text, "\xf0\x9f\x98\x80");
    while (text->len + strlen (tail) < bytes)
      g_string_append_c (text, 'x');
    g_autofree char *value = g_strdup_printf ("'%s%s'", text->str, tail);
    g_autoptr (CmJsonDoc) doc = fixture_with (good->json, key, value);
    g_autoptr (CmEvent) event = cm_event_parse (version ("11"), cm_json_doc_root (doc), &error);
    g_test_message ("%s of %" G_GSIZE_FORMAT " bytes", key, bytes);
    if (bytes == 255)
      g_assert_no_error (error);
    else
      fixture_assert_error (&error, CM_ERROR_TOO_LARGE);
  }
}

static void
test_field_sizes (void)
{
  assert_field_limit ("type", "", "");
  assert_field_limit ("state_key", "", "");
  assert_field_limit ("sender", "@", ":domain");
  assert_field_limit ("room_id", "!", ":domain");
}

static gboolean
parses_nested (gsize levels)
{
  g_autoptr (CmEvent) good = build_text ("11", MESSAGE);
  g_autofree char *open = g_strnfill (levels, '[');
  g_autofree char *close = g_strnfill (levels, ']');
  g_autofree char *content = g_strdup_printf ("{'a':'\\\\\\'[[[','b':%s%s}", open, close);
  g_autoptr (CmJsonDoc) doc = fixture_with (good->json, "content", content);
  g_autoptr (CmEvent) event = cm_event_parse (version ("11"), cm_json_doc_root (doc), NULL);
  return event != NULL;
}

/* What we accept, other servers and clients must be able to read in what we wrap around it. */
static void
test_nesting (void)
{
  g_assert_true (parses_nested (CM_JSON_MAX_DEPTH - 10));
  g_assert_false (parses_nested (CM_JSON_MAX_DEPTH - 9));
}

/* MSC4291: a create event of version 12 has no room id, other events must. */
static void
test_room_id_12 (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) create = build_text ("12", CREATE_12);
  g_autoptr (CmJsonDoc) doc = fixture_with (create->json, "room_id", "'!x:domain'");

  g_assert_null (cm_event_parse (version ("12"), cm_json_doc_root (doc), &error));
  fixture_assert_error (&error, CM_ERROR_BAD_JSON);
  g_assert_null (cm_event_parse (version ("11"), create->json, &error));
  fixture_assert_error (&error, CM_ERROR_BAD_JSON);
}

/* The order of the members and what is unsigned change nothing; what is hashed does. */
static void
test_canonical (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) event = build_text ("11", MESSAGE);
  g_autoptr (CmJsonDoc) reordered = fixture_with (event->json, "auth_events", "[]");
  g_autoptr (CmJsonDoc) more =
      fixture_with (cm_json_doc_root (reordered), "unsigned", "{'age':5,'redacted_because':{}}");
  g_autoptr (CmEvent) again = cm_event_parse (event->version, cm_json_doc_root (more), &error);
  g_autoptr (CmJsonDoc) changed = fixture_with (event->json, "content", "{'body':'forged'}");
  g_autoptr (CmEvent) forged = cm_event_parse (event->version, cm_json_doc_root (changed), &error);

  g_assert_no_error (error);
  g_assert_true (g_bytes_equal (again->bytes, event->bytes));
  g_assert_cmpstr (again->event_id, ==, event->event_id);
  g_assert_true (cm_event_hash_matches (again));
  g_assert_false (cm_event_hash_matches (forged));
  g_assert_cmpstr (forged->event_id, ==, event->event_id);
}

/* Keys with U+0000 stay whole through building, signing and writing. */
static void
test_nul_keys (void)
{
  g_autoptr (CmEvent) event = build_text (
      "11", "{'a\\u0000b':1,'auth_events':[],'content':{'c\\u0000d':'e\\u0000f'},'depth':1,"
            "'origin_server_ts':1,'prev_events':[],'room_id':'!x:domain','sender':'@a:domain',"
            "'type':'t'}");
  gsize length;
  const char *bytes = g_bytes_get_data (event->bytes, &length);

  g_assert_nonnull (g_strstr_len (bytes, (gssize) length, "{\"a\\u0000b\":1,"));
  g_assert_nonnull (g_strstr_len (bytes, (gssize) length, "{\"c\\u0000d\":\"e\\u0000f\"}"));
  g_assert_true (cm_event_hash_matches (event));
}

static void
test_countersign (void)
{
  g_autoptr (GError) error = NULL;
  const guint8 seed[32] = { 7 };
  g_autoptr (CmSigningKey) other = cm_signing_key_new ("ed25519:b", seed, &error);
  g_autoptr (CmEvent) event = build_text ("12", CREATE_12);
  g_autoptr (CmEvent) both = cm_event_countersign (event, "other.example", other, &error);
  g_autoptr (CmEvent) third = cm_event_countersign (both, "domain", other, &error);
  g_autoptr (GBytes) payload = cm_event_signed_payload (event);

  g_assert_no_error (error);
  g_assert_cmpstr (both->event_id, ==, event->event_id);
  g_assert_cmpstr (both->room_id, ==, event->room_id);
  g_assert_cmpstr (signature_of (both, "domain", "ed25519:1"), ==,
                   signature_of (event, "domain", "ed25519:1"));
  g_assert_true (cm_ed25519_verify (cm_signing_key_public (other),
                                    signature_of (both, "other.example", "ed25519:b"),
                                    g_bytes_get_data (payload, NULL), g_bytes_get_size (payload)));
  g_assert_nonnull (signature_of (third, "domain", "ed25519:1"));
  g_assert_nonnull (signature_of (third, "domain", "ed25519:b"));
}

static void
test_redact (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) event = build_text ("11", MESSAGE);
  gint64 number = 5;

  event->number = 9;
  event->position = 8;
  event->type_sym = 7;
  event->flags = CM_EVENT_SOFT_FAILED;
  event->auth = g_array_new (FALSE, FALSE, sizeof number);
  g_array_append_val (event->auth, number);
  g_autoptr (CmEvent) pruned = cm_event_redact (event, "$because", &error);
  g_assert_no_error (error);
  g_autoptr (GBytes) payload = cm_event_signed_payload (event);
  g_autoptr (GBytes) pruned_payload = cm_event_signed_payload (pruned);

  g_assert_cmpuint (cm_json_length (pruned->content), ==, 0);
  g_assert_cmpstr (pruned->event_id, ==, event->event_id);
  g_assert_cmpstr (pruned->room_id, ==, event->room_id);
  g_assert_cmpstr (pruned->redacted_because, ==, "$because");
  g_assert_cmpint (pruned->flags, ==, CM_EVENT_SOFT_FAILED | CM_EVENT_REDACTED);
  g_assert_cmpint (pruned->number, ==, 9);
  g_assert_cmpint (pruned->position, ==, 8);
  g_assert_cmpint (pruned->type_sym, ==, 7);
  g_assert_true (pruned->auth == event->auth);
  g_assert_true (g_bytes_equal (payload, pruned_payload));
  g_assert_false (cm_event_hash_matches (pruned));
}

static void
assert_written (const CmEvent *event, CmEventFormat format, const char *unsigned_members,
                const char *expected)
{
  g_autoptr (CmJsonDoc) extra =
      unsigned_members != NULL ? fixture_json ("%s", unsigned_members) : NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_event_write (writer, NULL, event, format, extra != NULL ? cm_json_doc_root (extra) : NULL);
  g_autofree char *text = cm_json_writer_end_text (writer);
  g_autofree char *quoted = g_strdelimit (g_strdup (expected), "'", '"');
  g_assert_cmpstr (text, ==, quoted);
}

static void
test_write (void)
{
  g_autoptr (CmEvent) event = fixture_event (
      "11", "$id",
      "{'age':1,'auth_events':[],'content':{'a':1},'depth':2,'event_id':'$false','hashes':{},"
      "'origin_server_ts':3,'prev_events':[],'room_id':'!r:d','sender':'@a:d','signatures':{},"
      "'state_key':'','type':'t','user_id':'@x:y'}");

  assert_written (event, CM_FORMAT_CLIENT, NULL,
                  "{'content':{'a':1},'event_id':'$id','origin_server_ts':3,'room_id':'!r:d',"
                  "'sender':'@a:d','state_key':'','type':'t'}");
  assert_written (event, CM_FORMAT_CLIENT_NO_ROOM_ID, "{'age':5}",
                  "{'content':{'a':1},'event_id':'$id','origin_server_ts':3,"
                  "'sender':'@a:d','state_key':'','type':'t','unsigned':{'age':5}}");
  assert_written (event, CM_FORMAT_STRIPPED, NULL,
                  "{'content':{'a':1},'sender':'@a:d','state_key':'','type':'t'}");
  assert_written (
      event, CM_FORMAT_FEDERATION, "{'age':5}",
      "{'age':1,'auth_events':[],'content':{'a':1},'depth':2,'event_id':'$false','hashes':{},"
      "'origin_server_ts':3,'prev_events':[],'room_id':'!r:d','sender':'@a:d','signatures':{},"
      "'state_key':'','type':'t','user_id':'@x:y','unsigned':{'age':5}}");
}

/* A client of any age finds the target of a redaction in a room of any version. */
static void
test_write_redaction (void)
{
  g_autoptr (CmEvent) ten =
      fixture_event ("10", "$id",
                     "{'content':{'reason':'x'},'origin_server_ts':3,'redacts':'$a','room_id':"
                     "'!r:d','sender':'@a:d','type':'m.room.redaction'}");
  g_autoptr (CmEvent) eleven =
      fixture_event ("11", "$id",
                     "{'content':{'reason':'x','redacts':'$a'},'origin_server_ts':3,'room_id':"
                     "'!r:d','sender':'@a:d','type':'m.room.redaction'}");
  g_autoptr (CmEvent) gone = cm_event_redact (ten, "$b", NULL);
  static const char expected[] =
      "{'content':{'reason':'x','redacts':'$a'},'event_id':'$id','origin_server_ts':3,"
      "'redacts':'$a','room_id':'!r:d','sender':'@a:d','type':'m.room.redaction'}";

  assert_written (ten, CM_FORMAT_CLIENT, NULL, expected);
  assert_written (eleven, CM_FORMAT_CLIENT, NULL, expected);
  assert_written (gone, CM_FORMAT_CLIENT, NULL,
                  "{'content':{},'event_id':'$id','origin_server_ts':3,"
                  "'room_id':'!r:d','sender':'@a:d','type':'m.room.redaction'}");
  assert_written (ten, CM_FORMAT_FEDERATION, NULL,
                  "{'content':{'reason':'x'},'origin_server_ts':3,'redacts':'$a','room_id':"
                  "'!r:d','sender':'@a:d','type':'m.room.redaction'}");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/event/versions", test_versions);
  g_test_add_func ("/event/signing-vector", test_signing_vector);
  g_test_add_func ("/event/event-id", test_event_id);
  g_test_add_func ("/event/fields", test_fields);
  g_test_add_func ("/event/redacts", test_redacts);
  for (gsize row = 0; row < G_N_ELEMENTS (formats); row++) {
    g_autofree char *name = g_strdup_printf ("/event/format/%s", formats[row].name);
    g_test_add_data_func (name, GSIZE_TO_POINTER (row), test_format);
  }
  g_test_add_func ("/event/list-limits", test_list_limits);
  g_test_add_func ("/event/event-size/whole", test_size);
  g_test_add_func ("/event/event-size/fields", test_field_sizes);
  g_test_add_func ("/event/json-nesting", test_nesting);
  g_test_add_func ("/event/room-id-12", test_room_id_12);
  g_test_add_func ("/event/canonical-json", test_canonical);
  g_test_add_func ("/event/json-nul/keys", test_nul_keys);
  g_test_add_func ("/event/countersign", test_countersign);
  g_test_add_func ("/event/redact", test_redact);
  g_test_add_func ("/event/write", test_write);
  g_test_add_func ("/event/write-redaction", test_write_redaction);
  return g_test_run ();
}
