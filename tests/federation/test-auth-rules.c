#include "room-fixture.h"

#define CREATE(more) "{'type':'m.room.create','state_key':'','sender':'@creator:a'," more "}"
#define NO_FEDERATION                                                                              \
  "[['m.room.create','','@creator:a',{'creator':'@creator:a','m.federate':false}]]"

/* Rules but those of members and of the content of m.room.power_levels. CVE-2022-31152: one vector
 * for each rule that refuses, and controls that differ from them in one thing. */
static const RoomVector vectors[] = {
  /* 1: m.room.create */
  { "create/control", V10, NULL, CREATE ("'content':{'creator':'@creator:a'}"), NULL, NULL },
  { "create/versioned", ALL, NULL,
    CREATE ("'content':{'creator':'@creator:a','room_version':'VERSION'}"), NULL, NULL },
  { "create/prev-events", ALL, NULL,
    CREATE ("'content':{'creator':'@creator:a'},'prev_events':['$x']"), "1.1", "1.1" },
  { "create/domain", OLD, NULL, CREATE ("'content':{'creator':'@creator:a'},'room_id':'!r:b'"),
    "1.2", NULL },
  { "create/no-domain", OLD, NULL, CREATE ("'content':{'creator':'@creator:a'},'room_id':'!r'"),
    "1.2", NULL },
  { "create/room-id", V12, NULL, CREATE ("'content':{},'room_id':'!event'"), NULL, "1.2" },
  { "create/room-version", ALL, NULL,
    CREATE ("'content':{'creator':'@creator:a','room_version':'x'}"), "1.3", "1.3" },
  { "create/room-version-number", ALL, NULL,
    CREATE ("'content':{'creator':'@creator:a','room_version':11}"), "1.3", "1.3" },
  { "create/no-creator", V10, NULL, CREATE ("'content':{}"), "1.4", NULL },
  { "create/no-creator-needed", V11 | V12, NULL, CREATE ("'content':{}"), NULL, NULL },
  { "create/event-auth-creators/control", V12, NULL,
    CREATE ("'content':{'additional_creators':['@x:y','@creator:a']}"), NULL, NULL },
  { "create/event-auth-creators/empty", V12, NULL, CREATE ("'content':{'additional_creators':[]}"),
    NULL, NULL },
  { "create/event-auth-creators/string", V12, NULL,
    CREATE ("'content':{'additional_creators':'@x:y'}"), NULL, "1.4" },
  { "create/event-auth-creators/null", V12, NULL, CREATE ("'content':{'additional_creators':null}"),
    NULL, "1.4" },
  { "create/event-auth-creators/object", V12, NULL,
    CREATE ("'content':{'additional_creators':{'@x:y':1}}"), NULL, "1.4" },
  { "create/event-auth-creators/number", V12, NULL,
    CREATE ("'content':{'additional_creators':[1]}"), NULL, "1.4" },
  { "create/event-auth-creators/no-user-id", V12, NULL,
    CREATE ("'content':{'additional_creators':['@x:y','x']}"), NULL, "1.4" },
  { "create/event-auth-creators/nul", V12, NULL,
    CREATE ("'content':{'additional_creators':['@x\\u0000:y']}"), NULL, "1.4" },
  { "create/additional-creators-are-of-12", OLD, NULL,
    CREATE ("'content':{'creator':'@creator:a','additional_creators':1}"), NULL, NULL },

  /* 2 of version 12; 2.4 and 2.5 before */
  { "room/control", ALL, NULL, EVENT ("m.room.topic", "", "@mod:a", "{}"), NULL, NULL },
  { "room/no-create", ALL, "[['m.room.create','']]", EVENT ("m.room.topic", "", "@mod:a", "{}"),
    "2.4", "2" },
  { "room/other-room", ALL, NULL,
    "{'type':'t','sender':'@mod:a','content':{},'room_id':'!other:a'}", "2.5", "2" },

  /* 4 (3): m.federate */
  { "federate/control", ALL,
    "[['m.room.create','','@creator:a',{'creator':'@creator:a','m.federate':true}]]",
    "{'type':'t','sender':'@user:b','content':{}}", NULL, NULL },
  { "federate/other-server", ALL, NO_FEDERATION, "{'type':'t','sender':'@user:b','content':{}}",
    "3", "4" },
  { "federate/other-server-join", ALL, NO_FEDERATION, MEMBER ("@invited:b", "@invited:b", "join"),
    "3", "4" },
  { "federate/own-server", ALL, NO_FEDERATION, "{'type':'t','sender':'@mod:a','content':{}}", NULL,
    NULL },
  { "federate/event-auth-types/string", ALL,
    "[['m.room.create','','@creator:a',{'creator':'@creator:a','m.federate':'false'}]]",
    "{'type':'t','sender':'@user:b','content':{}}", NULL, NULL },

  /* 6 (5): the sender's membership */
  { "sender/left", ALL, NULL, "{'type':'t','sender':'@left:b','content':{}}", "5", "6" },
  { "sender/invited", ALL, NULL, "{'type':'t','sender':'@invited:b','content':{}}", "5", "6" },
  { "sender/knocked", ALL, NULL, "{'type':'t','sender':'@knocker:b','content':{}}", "5", "6" },
  { "sender/banned", ALL, NULL, "{'type':'t','sender':'@banned:b','content':{}}", "5", "6" },
  { "sender/stranger", ALL, NULL, "{'type':'t','sender':'@nobody:b','content':{}}", "5", "6" },
  { "sender/creator-who-left", ALL,
    "[['m.room.member','@creator:a','@creator:a',{'membership':'leave'}]]",
    "{'type':'t','sender':'@creator:a','content':{}}", "5", "6" },
  { "sender/event-auth-types/membership", ALL,
    "[['m.room.member','@user:b','@user:b',{'membership':['join']}]]",
    "{'type':'t','sender':'@user:b','content':{}}", "5", "6" },

  /* 7 (6): m.room.third_party_invite */
  { "third-party-invite/control", ALL, NULL,
    EVENT ("m.room.third_party_invite", "x", "@user:b", "{}"), NULL, NULL },
  { "third-party-invite/too-low", ALL, LEVELS ("{'invite':1}"),
    EVENT ("m.room.third_party_invite", "x", "@user:b", "{}"), "6.1", "7.1" },
  { "third-party-invite/not-by-events", ALL,
    LEVELS ("{'events':{'m.room.third_party_invite':100}}"),
    EVENT ("m.room.third_party_invite", "@x", "@user:b", "{}"), NULL, NULL },

  /* 8 (7): the level that the type requires */
  { "level/message", ALL, NULL, "{'type':'t','sender':'@user:b','content':{}}", NULL, NULL },
  { "level/state", ALL, NULL, EVENT ("t", "", "@user:b", "{}"), "7", "8" },
  { "level/state-by-mod", ALL, NULL, EVENT ("t", "", "@mod:a", "{}"), NULL, NULL },
  { "level/listed", ALL, LEVELS ("{'events':{'t':0}}"), EVENT ("t", "", "@user:b", "{}"), NULL,
    NULL },
  { "level/listed-too-low", ALL, LEVELS ("{'events':{'t':1}}"),
    "{'type':'t','sender':'@user:b','content':{}}", "7", "8" },
  { "level/negative", ALL, LEVELS ("{'users_default':-1}"),
    "{'type':'t','sender':'@user:b','content':{}}", "7", "8" },
  { "level/CVE-2022-36009/events-default", ALL,
    LEVELS ("{'events_default':75,'users':{'@mod:a':50}}"),
    "{'type':'t','sender':'@mod:a','content':{}}", "7", "8" },
  { "level/CVE-2022-36009/state-default", ALL,
    LEVELS ("{'state_default':75,'users':{'@mod:a':50}}"), EVENT ("t", "", "@mod:a", "{}"), "7",
    "8" },
  { "level/CVE-2022-36009/no-power-levels", ALL, "[['m.room.power_levels','']]",
    EVENT ("m.room.topic", "", "@user:b", "{}"), "7", "8" },
  { "level/CVE-2022-36009/no-power-levels-mod", ALL, "[['m.room.power_levels','']]",
    EVENT ("m.room.topic", "", "@mod:a", "{}"), "7", "8" },
  { "level/CVE-2022-36009/no-power-levels-creator", ALL, "[['m.room.power_levels','']]",
    EVENT ("m.room.topic", "", "@creator:a", "{}"), NULL, NULL },
  { "level/CVE-2022-36009/no-power-levels-message", ALL, "[['m.room.power_levels','']]",
    "{'type':'t','sender':'@user:b','content':{}}", NULL, NULL },
  { "level/event-auth-creators/creator", V12, LEVELS ("{'state_default':9007199254740991}"),
    EVENT ("t", "", "@creator:a", "{}"), NULL, NULL },
  { "level/event-auth-creators/creator-before-12", OLD, NULL, EVENT ("t", "", "@creator:a", "{}"),
    "7", NULL },
  { "level/event-auth-creators/additional", V12,
    "[['m.room.create','','@creator:a',{'additional_creators':['@user:b']}]]",
    EVENT ("t", "", "@user:b", "{}"), NULL, NULL },
  { "level/redaction-is-like-any-event", ALL, LEVELS ("{'redact':100}"),
    "{'type':'m.room.redaction','sender':'@user:b','content':{'redacts':'$x'},'redacts':'$x'}",
    NULL, NULL },

  /* 9 (8): state keys that are user ids */
  { "state-key/own", ALL, NULL, EVENT ("t", "@mod:a", "@mod:a", "{}"), NULL, NULL },
  { "state-key/other", ALL, NULL, EVENT ("t", "@user:b", "@mod:a", "{}"), "8", "9" },
  { "state-key/admin", ALL, NULL, EVENT ("t", "@user:b", "@admin:a", "{}"), "8", "9" },
  { "state-key/no-user-id", ALL, NULL, EVENT ("t", "@", "@mod:a", "{}"), "8", "9" },
  { "state-key/inside", ALL, NULL, EVENT ("t", "x@user:b", "@mod:a", "{}"), NULL, NULL },
};

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  room_fixture_add_vectors ("auth-rules", vectors, G_N_ELEMENTS (vectors));
  return g_test_run ();
}
