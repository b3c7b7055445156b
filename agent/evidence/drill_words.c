#include "evidence/drill_words.h"

typedef const char *pair[2];

static const pair words[WORDS] = {
	[W_TITLE] = {"Drill", "Simulacro"},
	[W_MARK] = {"SIMULACRO (drill): the fault was made on purpose; no result was changed.",
                    "SIMULACRO: la falla se provocó a propósito; ningún resultado cambió."},
	[W_RESULT] = {"Result", "Resultado"},
	[W_SHOWS] = {"What it shows", "Qué demuestra"},
	[W_DESTINATION] = {"Destination", "Destino"},
	[W_ALL] = {"none alone", "ninguno en particular"},
	[W_BEGUN] = {"Begun (UTC)", "Inicio (UTC)"},
	[W_ENDED] = {"Ended (UTC)", "Fin (UTC)"},
	[W_LENGTH] = {"Fault in force for", "Falla activa durante"},
	[W_STRUCK] = {"Requests struck", "Solicitudes afectadas"},
	[W_REASON] = {"Why it ended early", "Motivo del fin anticipado"},
	[W_FIGURES] = {"Figures", "Cifras"},
	[W_RTO] = {"RTO: readers served again after", "RTO: lectores atendidos de nuevo tras"},
	[W_RPO] = {"RPO: cuts lost to readers", "RPO: cortes perdidos para los lectores"},
	[W_DETECTION] = {"Noticed after", "Detectado tras"},
	[W_INTERVAL] = {"Configured interval", "Intervalo configurado"},
	[W_RECOVERY] = {"Whole again after the fault", "Recuperado tras la falla en"},
	[W_TTL] = {"of which the record's TTL", "de los cuales TTL del registro"},
	[W_UNMOVED] = {"readers were served all along", "lectores atendidos en todo momento"},
	[W_CRITERIA] = {"Criteria", "Criterios"},
	[W_CRITERION] = {"Criterion", "Criterio"},
	[W_MEASURED] = {"Measured", "Medido"},
	[W_BOUND] = {"At most", "Máximo"},
	[W_VERDICT] = {"Verdict", "Veredicto"},
	[W_GOOD] = {"met", "cumple"},
	[W_BAD] = {"NOT met", "NO cumple"},
	[W_TIMELINE] = {"Timeline", "Cronología"},
	[W_TIME] = {"Since the fault", "Desde la falla"},
	[W_EVENT] = {"Event", "Evento"},
	[W_DETAIL] = {"Detail", "Detalle"},
	[W_TREND] = {"Trend", "Tendencia"},
	[W_DRILL] = {"Drill", "Simulacro"},
	[W_NO_TREND] = {"This is the first drill of its kind.",
                        "Es el primer simulacro de su tipo."},
	[W_EVIDENCE] = {"Evidence", "Evidencia"},
	[W_PROFILE] = {"Profile", "Perfil"},
	[W_VERSION] = {"Version", "Versión"},
	[W_FINGERPRINT] = {"Configuration (SHA-256)", "Configuración (SHA-256)"},
	[W_DIGEST] = {"drill.json (SHA-256)", "drill.json (SHA-256)"},
	[W_CUTS] = {"cuts", "cortes"},
	[W_HOW] = {"RTO counts from the fault until the new route was read back at every steering, "
                   "plus the record's TTL. RPO counts the cuts that those who took the readers "
                   "over were behind. Details are the agent's own words.",
                   "El RTO se cuenta desde la falla hasta que la nueva ruta se leyó de vuelta en "
                   "cada servicio de dirección, más el TTL del registro. El RPO cuenta los cortes "
                   "que faltaban a quienes recibieron a los lectores. Los detalles son palabras "
                   "del propio agente."},
};

static const pair events[DIF_DRILL_EVENT_IDS] = {
	[DIF_DRILL_BEGAN] = {"drill begins", "inicia el simulacro"},
	[DIF_DRILL_FAULT_SET] = {"fault set", "falla provocada"},
	[DIF_DRILL_FIRST_FAILURE] = {"first probe that failed", "primera verificación fallida"},
	[DIF_DRILL_VERDICT] = {"verdict", "veredicto"},
	[DIF_DRILL_NOTICED] = {"noticed", "detectada"},
	[DIF_DRILL_ROUTE_DECIDED] = {"route decided", "ruta decidida"},
	[DIF_DRILL_ROUTE_STANDS] = {"route applied and read back",
                                    "ruta aplicada y leída de vuelta"},
	[DIF_DRILL_TTL_OVER] = {"TTL over: all readers moved", "TTL vencido: lectores trasladados"},
	[DIF_DRILL_FAULT_LIFTED] = {"fault lifted", "falla retirada"},
	[DIF_DRILL_HEALTHY] = {"healthy again", "sano de nuevo"},
	[DIF_DRILL_WHOLE] = {"destination whole", "destino completo"},
	[DIF_DRILL_ROUTE_BACK] = {"route as before", "ruta como antes"},
	[DIF_DRILL_ROUTE_LATER] = {"returns to the route later", "vuelve a la ruta más tarde"},
	[DIF_DRILL_STOPPED] = {"STOPPED", "DETENIDO"},
	[DIF_DRILL_ENDED] = {"drill ends", "termina el simulacro"},
};

static const pair states[DIF_DRILL_STATES] = {
	[DIF_DRILL_RUNNING] = {"running", "en curso"},
	[DIF_DRILL_PASSED] = {"PASSED", "APROBADO"},
	[DIF_DRILL_FAILED] = {"FAILED", "NO APROBADO"},
	[DIF_DRILL_WAS_STOPPED] = {"STOPPED", "DETENIDO"},
	[DIF_DRILL_INTERRUPTED] = {"INTERRUPTED", "INTERRUMPIDO"},
};

static const pair criteria[DIF_DRILL_CRITERIA] = {
	[DIF_DRILL_DETECTION] = {"noticed in time", "detección a tiempo"},
	[DIF_DRILL_RTO] = {"RTO", "RTO"},
	[DIF_DRILL_RPO] = {"RPO", "RPO"},
	[DIF_DRILL_STAYS] = {"the route stayed as it was", "la ruta no cambió"},
	[DIF_DRILL_OTHERS] = {"all others healthy all along", "los demás, sanos en todo momento"},
	[DIF_DRILL_CLEAN] = {"cleaned up: fault lifted, healthy, whole",
                             "limpieza: falla retirada, sano y completo"},
};

const char *drill_word(enum drill_word w, enum dif_report_language l)
{
	return words[w][l];
}

const char *drill_word_of_event(uint32_t id, enum dif_report_language l)
{
	return id < DIF_DRILL_EVENT_IDS ? events[id][l] : "";
}

const char *drill_word_of_state(uint32_t state, enum dif_report_language l)
{
	return state < DIF_DRILL_STATES ? states[state][l] : "";
}

const char *drill_word_of_criterion(uint32_t id, enum dif_report_language l)
{
	return id < DIF_DRILL_CRITERIA ? criteria[id][l] : "";
}
