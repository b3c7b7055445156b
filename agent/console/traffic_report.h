/* traffic_report - what status says of verdicts, route and steerings, as the state has them. */
#ifndef DIF_CONSOLE_TRAFFIC_REPORT_H
#define DIF_CONSOLE_TRAFFIC_REPORT_H

#include "flow/setup.h"
#include "host/tree.h"

/* Some lines; none where no agent has run yet. */
void dif_traffic_report_text(struct dif_buf *out, const struct dif_setup *s);
/* The member "traffic"; null where no agent has run yet. */
void dif_traffic_report_json(struct dif_json *j, const struct dif_setup *s);

#endif
