import type {
  Dashboard,
  FieldConfig,
  FieldConfigSource,
  GraphFieldConfig,
  Panel,
  RowPanel,
  TableFieldOptions,
} from '@grafana/schema';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type {
  Options as StateTimelineOptions,
  FieldConfig as TimelineFieldConfig,
} from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** DashboardFile is the classic JSON of a dashboard with the kinds of panels that ours has. */
export type DashboardFile = Plain<
  Omit<Dashboard, 'panels'> & {
    panels: (
      | RowPanel
      | PanelOf<'stat', StatOptions, never>
      | PanelOf<'timeseries', TimeSeriesOptions, GraphFieldConfig>
      | PanelOf<'state-timeline', StateTimelineOptions, TimelineFieldConfig>
      | PanelOf<'table', TableOptions, TableFieldOptions>
    )[];
  }
>;

/** Grafana fills in what a panel leaves out, so that every option may be missing. */
type PanelOf<Type extends string, Options, Custom> = Omit<Panel, 'type' | 'options' | 'fieldConfig'> & {
  type: Type;
  options: Partial<Options>;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & {
    defaults: Omit<FieldConfig, 'custom'> & { custom?: Partial<Custom> };
  };
};

/** Plain is a type as JSON has it: with the texts of enums in place of the enums. */
type Plain<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : { [K in keyof T]: Plain<T[K]> };
