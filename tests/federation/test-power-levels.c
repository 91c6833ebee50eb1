#include "room-fixture.h"

#include <string.h>

#define POWER(sender, content) EVENT ("m.room.power_levels", "", sender, content)
#define NO_LEVELS              "[['m.room.power_levels','']]"
#define BASE                   "'users':{'@admin:a':100,'@mod:a':50}"
/* @mod:a (50) may send m.room.power_levels here. */
#define LENIENT(more) LEVELS ("{" BASE ",'events':{'m.room.power_levels':50}" more "}")
#define BY_MOD(more)  POWER ("@mod:a", "{" BASE ",'events':{'m.room.power_levels':50}" more "}")
#define EVENTS(state, wanted)                                                                      \
  LEVELS ("{" BASE ",'events':{'m.room.power_levels':50," state "}}"),                             \
      POWER ("@mod:a", "{" BASE ",'events':{'m.room.power_levels':50," wanted "}}")
#define USERS(state, wanted)                                                                       \
  LEVELS ("{'events':{'m.room.power_levels':50},'users':{'@admin:a':100,'@mod:a':50" state "}}"),  \
      POWER ("@mod:a", "{'events':{'m.room.power_levels':50},'users':{" wanted "}}")

/* Rule 10 (9 in versions 10 and 11): m.room.power_levels. */
static const RoomVector vectors[] = {
  { "shape/control", ALL, NULL, POWER ("@admin:a", "{" BASE "}"), NULL, NULL },
  { "shape/empty", ALL, NO_LEVELS, POWER ("@creator:a", "{}"), NULL, NULL },
  { "shape/negative", ALL, NULL,
    POWER ("@admin:a", "{'ban':-1,'events':{'x':-9007199254740991}," BASE "}"), NULL, NULL },
  { "shape/no-power", ALL, NULL, POWER ("@user:b", "{" BASE "}"), "7", "8" },
  { "shape/users-array", ALL, NULL, POWER ("@admin:a", "{'users':[]}"), "9.3", "10.3" },
  { "shape/users-null", ALL, NULL, POWER ("@admin:a", "{'users':null}"), "9.3", "10.3" },
  { "shape/users-no-user-id", ALL, NULL, POWER ("@admin:a", "{'users':{'admin:a':1}}"), "9.3",
    "10.3" },
  { "shape/users-no-domain", ALL, NULL, POWER ("@admin:a", "{'users':{'@admin':1}}"), "9.3",
    "10.3" },
  { "shape/users-json-nul", ALL, NULL, POWER ("@admin:a", "{'users':{'@x:a\\u0000':1}}"), "9.3",
    "10.3" },
  { "shape/events-array", ALL, NULL, POWER ("@admin:a", "{'events':[1]}"), "9.2", "10.2" },
  { "shape/notifications-number", ALL, NULL, POWER ("@admin:a", "{'notifications':1}"), "9.2",
    "10.2" },

  { "creators/event-auth-creators/creator", V12, NO_LEVELS,
    POWER ("@creator:a", "{'users':{'@creator:a':100}}"), NULL, "10.4" },
  { "creators/event-auth-creators/creator-before-12", OLD, NO_LEVELS,
    POWER ("@creator:a", "{'users':{'@creator:a':100}}"), NULL, NULL },
  { "creators/event-auth-creators/additional", V12,
    "[['m.room.create','','@creator:a',{'additional_creators':['@x:y','@user:b']}]]",
    POWER ("@admin:a", "{'users':{'@admin:a':100,'@mod:a':50,'@user:b':0}}"), NULL, "10.4" },
  { "creators/event-auth-creators/power", V12, NULL,
    POWER ("@creator:a", "{'ban':9007199254740991,'users':{'@mod:a':9007199254740991}}"), NULL,
    NULL },
  { "creators/event-auth-creators/additional-power", V12,
    "[['m.room.create','','@creator:a',{'additional_creators':['@user:b']}]]",
    POWER ("@user:b", "{'users':{'@mod:a':9007199254740991}}"), NULL, NULL },

  /* 10.5 (9.4) */
  { "first/control", OLD, NO_LEVELS,
    POWER ("@creator:a", "{'users':{'@creator:a':100,'@user:b':1000}}"), NULL, NULL },
  { "first/by-another", ALL, NO_LEVELS, POWER ("@admin:a", "{'users':{'@admin:a':100}}"), "7",
    "8" },

  /* 10.6 (9.5) */
  { "field/same", ALL, LENIENT (",'ban':80"), BY_MOD (",'ban':80"), NULL, NULL },
  { "field/change", ALL, LENIENT (",'ban':40"), BY_MOD (",'ban':50"), NULL, NULL },
  { "field/change-higher", ALL, LENIENT (",'ban':51"), BY_MOD (",'ban':50"), "9.5.1", "10.6.1" },
  { "field/remove", ALL, LENIENT (",'kick':50"), BY_MOD (""), NULL, NULL },
  { "field/remove-higher", ALL, LENIENT (",'kick':51"), BY_MOD (""), "9.5.1", "10.6.1" },
  { "field/add", ALL, LENIENT (""), BY_MOD (",'redact':50"), NULL, NULL },
  { "field/add-higher", ALL, LENIENT (""), BY_MOD (",'redact':51"), "9.5.2", "10.6.2" },
  { "field/set-higher", ALL, LENIENT (",'invite':0"), BY_MOD (",'invite':51"), "9.5.2", "10.6.2" },
  { "field/set-higher-users-default", ALL, LENIENT (""), BY_MOD (",'users_default':51"), "9.5.2",
    "10.6.2" },
  { "field/set-higher-events-default", ALL, LENIENT (""), BY_MOD (",'events_default':51"), "9.5.2",
    "10.6.2" },
  { "field/set-higher-state-default", ALL, LENIENT (""), BY_MOD (",'state_default':51"), "9.5.2",
    "10.6.2" },

  /* 10.7, 10.8 (9.6, 9.7) */
  { "events/same", ALL, EVENTS ("'x':80", "'x':80"), NULL, NULL },
  { "events/change", ALL, EVENTS ("'x':50", "'x':40"), NULL, NULL },
  { "events/change-higher", ALL, EVENTS ("'x':51", "'x':40"), "9.6.1", "10.7.1" },
  { "events/remove-higher", ALL, EVENTS ("'x':51", "'y':40"), "9.6.1", "10.7.1" },
  { "events/add", ALL, EVENTS ("'x':1", "'a':50,'x':1,'y':50"), NULL, NULL },
  { "events/add-higher", ALL, EVENTS ("'x':1", "'x':1,'y':51"), "9.7.1", "10.8.1" },
  { "events/add-higher-before", ALL, EVENTS ("'x':1", "'a':51,'x':1"), "9.7.1", "10.8.1" },
  { "events/set-higher", ALL, EVENTS ("'x':1", "'x':51"), "9.7.1", "10.8.1" },
  { "events/json-nul", ALL, EVENTS ("'x\\u0000':80", "'x':80"), "9.7.1", "10.8.1" },
  { "notifications/remove-higher", ALL, LENIENT (",'notifications':{'room':51}"), BY_MOD (""),
    "9.6.1", "10.7.1" },
  { "notifications/change-higher", ALL, LENIENT (",'notifications':{'room':51}"),
    BY_MOD (",'notifications':{'room':1}"), "9.6.1", "10.7.1" },
  { "notifications/add-higher", ALL, LENIENT (""), BY_MOD (",'notifications':{'room':51}"), "9.7.1",
    "10.8.1" },
  { "notifications/add", ALL, LENIENT (""), BY_MOD (",'notifications':{'room':50}"), NULL, NULL },

  /* 10.9, 10.10 (9.8, 9.9) */
  { "users/change", ALL, USERS (",'@user:b':49", "'@admin:a':100,'@mod:a':50,'@user:b':1"), NULL,
    NULL },
  { "users/change-equal", ALL, USERS (",'@user:b':50", "'@admin:a':100,'@mod:a':50,'@user:b':1"),
    "9.8.1", "10.9.1" },
  { "users/remove-equal", ALL, USERS (",'@user:b':50", "'@admin:a':100,'@mod:a':50"), "9.8.1",
    "10.9.1" },
  { "users/remove-higher", ALL, USERS ("", "'@mod:a':50"), "9.8.1", "10.9.1" },
  { "users/same-higher", ALL, USERS (",'@user:b':80", "'@admin:a':100,'@mod:a':50,'@user:b':80"),
    NULL, NULL },
  { "users/own-down", ALL, USERS ("", "'@admin:a':100,'@mod:a':1"), NULL, NULL },
  { "users/own-away", ALL, USERS ("", "'@admin:a':100"), NULL, NULL },
  { "users/own-up", ALL, USERS ("", "'@admin:a':100,'@mod:a':51"), "9.9.1", "10.10.1" },
  { "users/add", ALL, USERS ("", "'@admin:a':100,'@mod:a':50,'@user:b':50"), NULL, NULL },
  { "users/add-higher", ALL, USERS ("", "'@admin:a':100,'@mod:a':50,'@user:b':51"), "9.9.1",
    "10.10.1" },
  { "users/set-higher", ALL, USERS (",'@user:b':1", "'@admin:a':100,'@mod:a':50,'@user:b':51"),
    "9.9.1", "10.10.1" },
};

/* Row event-auth-types: in versions 10 and up a level is an integer and nothing else (floats are no
 * canonical JSON: see test-event). */
static void
test_types (void)
{
  const char *const versions[] = { "10", "11", "12" };
  const char *const values[] = { "'100'", "true", "null", "[]", "{}", "''" };
  const char *const fields[] = { "users_default", "events_default", "state_default", "ban",
                                 "redact",        "kick",           "invite" };
  const char *const maps[] = { "events", "notifications", "users" };

  for (gsize v = 0; v < G_N_ELEMENTS (versions); v++) {
    g_autoptr (RoomFixture) room = room_fixture_new (versions[v]);
    int rule = v < 2 ? 9 : 10;
    for (gsize i = 0; i < G_N_ELEMENTS (values); i++) {
      for (gsize f = 0; f < G_N_ELEMENTS (fields); f++) {
        g_autofree char *event =
            g_strdup_printf (POWER ("@admin:a", "{'%s':%s," BASE "}"), fields[f], values[i]);
        g_autofree char *expected = g_strdup_printf ("%d.1", rule);
        room_fixture_assert (room, event, expected);
      }
      for (gsize m = 0; m < G_N_ELEMENTS (maps); m++) {
        g_autofree char *event =
            g_strdup_printf (POWER ("@admin:a", "{'%s':{'@x:y':%s}}"), maps[m], values[i]);
        g_autofree char *expected = g_strdup_printf ("%d.%d", rule, m < 2 ? 2 : 3);
        room_fixture_assert (room, event, expected);
      }
    }
  }
}

/* CVE-2022-36009: each field has its own default, with and without m.room.power_levels. */
static void
test_defaults (void)
{
  static const struct {
    const char *field;
    gint64 level;
  } defaults[] = {
    { "ban", 50 },           { "kick", 50 },          { "redact", 50 },       { "invite", 0 },
    { "state_default", 50 }, { "events_default", 0 }, { "users_default", 0 },
  };
  g_autoptr (RoomFixture) room = room_fixture_new ("11");
  const CmEvent *create = room_fixture_state (room, "m.room.create", "");
  g_autoptr (CmEvent) empty = room_fixture_event (room, POWER ("@admin:a", "{}"));
  const CmEvent *events[] = { NULL, empty };

  for (gsize i = 0; i < G_N_ELEMENTS (events); i++) {
    for (gsize f = 0; f < G_N_ELEMENTS (defaults); f++)
      g_assert_cmpint (cm_power_level (events[i], defaults[f].field), ==, defaults[f].level);
    g_assert_cmpint (cm_power_to_send (events[i], "x", TRUE), ==, 50);
    g_assert_cmpint (cm_power_to_send (events[i], "x", FALSE), ==, 0);
    g_assert_cmpint (cm_power_to_notify (events[i], "room"), ==, 50);
    g_assert_cmpint (cm_power_of_user (events[i], create, "@user:b"), ==, 0);
  }
  g_assert_cmpint (cm_power_of_user (NULL, create, "@creator:a"), ==, 100);
  g_assert_cmpint (cm_power_of_user (empty, create, "@creator:a"), ==, 0);
  g_assert_cmpint (cm_power_of_user (NULL, NULL, "@creator:a"), ==, 0);
}

static void
test_levels (void)
{
  g_autoptr (RoomFixture) room = room_fixture_new ("11");
  g_autoptr (CmEvent) power = room_fixture_event (
      room, POWER ("@admin:a", "{'ban':1,'events':{'m.room.name':2},'events_default':3,'invite':4,"
                               "'kick':5,'notifications':{'room':6},'redact':7,'state_default':8,"
                               "'users':{'@a:b':9},'users_default':10}"));

  g_assert_cmpint (cm_power_level (power, "ban"), ==, 1);
  g_assert_cmpint (cm_power_to_send (power, "m.room.name", TRUE), ==, 2);
  g_assert_cmpint (cm_power_to_send (power, "x", FALSE), ==, 3);
  g_assert_cmpint (cm_power_level (power, "invite"), ==, 4);
  g_assert_cmpint (cm_power_level (power, "kick"), ==, 5);
  g_assert_cmpint (cm_power_to_notify (power, "room"), ==, 6);
  g_assert_cmpint (cm_power_level (power, "redact"), ==, 7);
  g_assert_cmpint (cm_power_to_send (power, "x", TRUE), ==, 8);
  g_assert_cmpint (cm_power_of_user (power, NULL, "@a:b"), ==, 9);
  g_assert_cmpint (cm_power_of_user (power, NULL, "@c:d"), ==, 10);
}

/* Row event-auth-creators: whatever m.room.power_levels says. */
static void
test_creators (void)
{
  g_autoptr (RoomFixture) room = room_fixture_new ("12");
  room_fixture_change (
      room,
      "[['m.room.create','','@creator:a',{'additional_creators':['@more:b'],'creator':'@x:y'}]]");
  const CmEvent *create = room_fixture_state (room, "m.room.create", "");
  g_autoptr (CmEvent) power =
      room_fixture_event (room, POWER ("@admin:a", "{'users':{'@creator:a':0,'@more:b':-1}}"));

  for (gsize i = 0; i < 2; i++) {
    const CmEvent *levels = i == 0 ? power : NULL;
    g_assert_cmpint (cm_power_of_user (levels, create, "@creator:a"), ==, CM_POWER_INFINITE);
    g_assert_cmpint (cm_power_of_user (levels, create, "@more:b"), ==, CM_POWER_INFINITE);
    g_assert_cmpint (cm_power_of_user (levels, create, "@x:y"), ==, 0);
  }
}

/* Thousands of entries that all change: comparing them must not take the square of their number. */
static void
test_many_users (void)
{
  g_autoptr (RoomFixture) room = room_fixture_new ("11");
  g_autoptr (GString) before = g_string_new ("[['m.room.power_levels','','@creator:a',{'users':{");
  g_autoptr (GString) after = g_string_new (
      "{'type':'m.room.power_levels','state_key':'','sender':'@admin:a','content':{'users':{");

  for (guint i = 0; i < 3000; i++) {
    g_string_append_printf (before, "'@a%u:b':1,", i);
    g_string_append_printf (after, "'@b%u:b':1,", i);
  }
  g_string_append (before, "'@admin:a':100}}]]");
  g_string_append (after, "'@admin:a':100}}}");
  room_fixture_change (room, before->str);
  room_fixture_assert (room, after->str, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  room_fixture_add_vectors ("power-levels", vectors, G_N_ELEMENTS (vectors));
  g_test_add_func ("/power-levels/event-auth-types", test_types);
  g_test_add_func ("/power-levels/CVE-2022-36009/defaults", test_defaults);
  g_test_add_func ("/power-levels/levels", test_levels);
  g_test_add_func ("/power-levels/event-auth-creators/levels", test_creators);
  g_test_add_func ("/power-levels/many-users", test_many_users);
  return g_test_run ();
}
