#include "server/push/default-rules.h"

#define MATCH(key, pattern)                                                                        \
  "{\"kind\":\"event_match\",\"key\":\"" key "\",\"pattern\":\"" pattern "\"}"
#define IS(key, value) "{\"kind\":\"event_property_is\",\"key\":\"" key "\",\"value\":" value "}"
#define CONTAINS(key, value)                                                                       \
  "{\"kind\":\"event_property_contains\",\"key\":\"" key "\",\"value\":\"" value "\"}"
#define PERMISSION(key) "{\"kind\":\"sender_notification_permission\",\"key\":\"" key "\"}"
#define TWO_MEMBERS     "{\"kind\":\"room_member_count\",\"is\":\"2\"}"

#define SOUND(name) "{\"set_tweak\":\"sound\",\"value\":\"" name "\"}"
#define HIGHLIGHT   "{\"set_tweak\":\"highlight\"}"

const CmDefaultRule cm_default_rules[] = {
  { CM_RULES_OVERRIDE, CM_RULE_MASTER, TRUE, "[]", "[]" },
  { CM_RULES_OVERRIDE, ".m.rule.suppress_notices", FALSE,
    "[" MATCH ("content.msgtype", "m.notice") "]", "[]" },
  { CM_RULES_OVERRIDE, ".m.rule.invite_for_me", FALSE,
    "[" MATCH ("type", "m.room.member") "," MATCH ("content.membership", "invite") "," MATCH (
        "state_key", CM_RULE_OWN_ID) "]",
    "[\"notify\"," SOUND ("default") "]" },
  { CM_RULES_OVERRIDE, ".m.rule.member_event", FALSE, "[" MATCH ("type", "m.room.member") "]",
    "[]" },
  { CM_RULES_OVERRIDE, ".m.rule.is_user_mention", FALSE,
    "[" CONTAINS ("content.m\\\\.mentions.user_ids", CM_RULE_OWN_ID) "]",
    "[\"notify\"," SOUND ("default") "," HIGHLIGHT "]" },
  { CM_RULES_OVERRIDE, ".m.rule.is_room_mention", FALSE,
    "[" IS ("content.m\\\\.mentions.room", "true") "," PERMISSION ("room") "]",
    "[\"notify\"," HIGHLIGHT "]" },
  { CM_RULES_OVERRIDE, ".m.rule.tombstone", FALSE,
    "[" MATCH ("type", "m.room.tombstone") "," MATCH ("state_key", "") "]",
    "[\"notify\"," HIGHLIGHT "]" },
  { CM_RULES_OVERRIDE, ".m.rule.reaction", FALSE, "[" MATCH ("type", "m.reaction") "]", "[]" },
  { CM_RULES_OVERRIDE, ".m.rule.room.server_acl", FALSE,
    "[" MATCH ("type", "m.room.server_acl") "," MATCH ("state_key", "") "]", "[]" },
  { CM_RULES_OVERRIDE, ".m.rule.suppress_edits", FALSE,
    "[" IS ("content.m\\\\.relates_to.rel_type", "\"m.replace\"") "]", "[]" },
  { CM_RULES_UNDERRIDE, ".m.rule.call", FALSE, "[" MATCH ("type", "m.call.invite") "]",
    "[\"notify\"," SOUND ("ring") "]" },
  { CM_RULES_UNDERRIDE, ".m.rule.encrypted_room_one_to_one", FALSE,
    "[" TWO_MEMBERS "," MATCH ("type", "m.room.encrypted") "]",
    "[\"notify\"," SOUND ("default") "]" },
  { CM_RULES_UNDERRIDE, ".m.rule.room_one_to_one", FALSE,
    "[" TWO_MEMBERS "," MATCH ("type", "m.room.message") "]",
    "[\"notify\"," SOUND ("default") "]" },
  { CM_RULES_UNDERRIDE, ".m.rule.message", FALSE, "[" MATCH ("type", "m.room.message") "]",
    "[\"notify\"]" },
  { CM_RULES_UNDERRIDE, ".m.rule.encrypted", FALSE, "[" MATCH ("type", "m.room.encrypted") "]",
    "[\"notify\"]" },
};

const gsize cm_n_default_rules = G_N_ELEMENTS (cm_default_rules);
