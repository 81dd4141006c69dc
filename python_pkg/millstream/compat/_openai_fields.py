"""Objects of the openai SDK and the names of their fields; `_lazy` says how they are read.

Written by tests/python/sdk_fields.py from openai 3.54.0.
"""

FIELDS = """\
ChatCompletionChunk: id choices=Choice created model object moderation=Moderation obfuscation
  service_tier system_fingerprint usage=CompletionUsage
Choice: delta=ChoiceDelta index finish_reason logprobs=ChoiceLogprobs
ChoiceDelta: audio=ChoiceDeltaAudio content function_call=ChoiceDeltaFunctionCall refusal role
  tool_calls=ChoiceDeltaToolCall
ChoiceDeltaAudio: id data expires_at transcript
ChoiceDeltaFunctionCall: arguments name
ChoiceDeltaToolCall: index id function=ChoiceDeltaToolCallFunction type
ChoiceDeltaToolCallFunction: arguments name
ChoiceLogprobs: content=ChatCompletionTokenLogprob refusal=ChatCompletionTokenLogprob
ChatCompletionTokenLogprob: token bytes logprob top_logprobs=TopLogprob
TopLogprob: token bytes logprob
Moderation: input=ModerationInputModerationResults| ModerationInputError
  output=ModerationOutputModerationResults| ModerationOutputError
ModerationInputModerationResults(moderation_results): model
  results=ModerationInputModerationResultsResult type
ModerationInputModerationResultsResult(moderation_result): categories category_applied_input_types
  category_scores flagged model type
ModerationInputError(error): code message type
ModerationOutputModerationResults(moderation_results): model
  results=ModerationOutputModerationResultsResult type
ModerationOutputModerationResultsResult(moderation_result): categories
  category_applied_input_types category_scores flagged model type
ModerationOutputError(error): code message type
CompletionUsage: completion_tokens prompt_tokens total_tokens
  completion_tokens_details=CompletionTokensDetails prompt_tokens_details=PromptTokensDetails
CompletionTokensDetails: accepted_prediction_tokens audio_tokens reasoning_tokens
  rejected_prediction_tokens text_tokens
PromptTokensDetails: audio_tokens cache_write_tokens cached_tokens image_tokens text_tokens
ChatCompletion: id choices=Choice_2 created model object metadata moderation=Moderation_2
  service_tier system_fingerprint usage=CompletionUsage
Choice_2: finish_reason index logprobs=ChoiceLogprobs_2 message=ChatCompletionMessage
ChoiceLogprobs_2: content=ChatCompletionTokenLogprob refusal=ChatCompletionTokenLogprob
ChatCompletionMessage: content refusal role annotations=Annotation audio=ChatCompletionAudio
  function_call=FunctionCall tool_calls=ChatCompletionMessageFunctionToolCall|
  ChatCompletionMessageCustomToolCall
Annotation(url_citation): type url_citation=AnnotationURLCitation
AnnotationURLCitation: end_index start_index title url
ChatCompletionAudio: id data expires_at transcript
FunctionCall: arguments name
ChatCompletionMessageFunctionToolCall(function): id function=Function type
Function: arguments name
ChatCompletionMessageCustomToolCall(custom): id custom=Custom type
Custom: input name
Moderation_2: input=ModerationInputModerationResults_2| ModerationInputError_2
  output=ModerationOutputModerationResults_2| ModerationOutputError_2
ModerationInputModerationResults_2(moderation_results): model
  results=ModerationInputModerationResultsResult_2 type
ModerationInputModerationResultsResult_2(moderation_result): categories
  category_applied_input_types category_scores flagged model type
ModerationInputError_2(error): code message type
ModerationOutputModerationResults_2(moderation_results): model
  results=ModerationOutputModerationResultsResult_2 type
ModerationOutputModerationResultsResult_2(moderation_result): categories
  category_applied_input_types category_scores flagged model type
ModerationOutputError_2(error): code message type
Response: id access_programs=AccessPrograms created_at error=ResponseError
  incomplete_details=IncompleteDetails instructions metadata model object
  output=ResponseOutputMessage| ResponseFileSearchToolCall| ResponseFunctionToolCall|
  ResponseFunctionToolCallOutputItem| ResponseFunctionWebSearch| ResponseComputerToolCall|
  ResponseComputerToolCallOutputItem| ResponseReasoningItem| Program| ProgramOutput|
  ResponseToolSearchCall| ResponseToolSearchOutputItem| AdditionalTools| ResponseCompactionItem|
  ImageGenerationCall| ResponseCodeInterpreterToolCall| LocalShellCall| LocalShellCallOutput|
  ResponseFunctionShellToolCall| ResponseFunctionShellToolCallOutput| ResponseApplyPatchToolCall|
  ResponseApplyPatchToolCallOutput| McpCall| McpListTools| McpApprovalRequest|
  McpApprovalResponse| ResponseCustomToolCall| ResponseCustomToolCallOutputItem
  parallel_tool_calls temperature tool_choice=ToolChoiceAllowed| ToolChoiceTypes|
  ToolChoiceFunction| ToolChoiceMcp| ToolChoiceCustom|
  ToolChoiceSpecificProgrammaticToolCallingParam| ToolChoiceApplyPatch| ToolChoiceShell
  tools=FunctionTool| FileSearchTool| ComputerTool| ComputerUsePreviewTool| WebSearchTool| Mcp|
  CodeInterpreter| ProgrammaticToolCalling| ImageGeneration| LocalShell| FunctionShellTool|
  CustomTool| NamespaceTool| ToolSearchTool| WebSearchPreviewTool| ApplyPatchTool top_p background
  completed_at conversation=Conversation image=Image input_transformations=InputTransformation
  max_output_tokens max_tool_calls moderation=Moderation_3 previous_response_id
  prompt=ResponsePrompt prompt_cache_diagnostics=PromptCacheDiagnosticsCacheMiss|
  PromptCacheDiagnosticsCacheHit| PromptCacheDiagnosticsComparisonResponseNotFound|
  PromptCacheDiagnosticsUnavailable prompt_cache_key prompt_cache_options=PromptCacheOptions
  prompt_cache_retention reasoning=Reasoning safety_identifier service_tier status
  text=ResponseTextConfig tool_usage=ToolUsage top_logprobs truncation usage=ResponseUsage user
AccessPrograms: cyber
ResponseError: code message misalignment=Misalignment param type
Misalignment: detailed_explanation error_type review_target steer=MisalignmentSteer
MisalignmentSteer: message
IncompleteDetails: reason
ResponseOutputMessage(message): id content=ResponseOutputText| ResponseOutputRefusal role status
  type phase
ResponseOutputText(output_text): annotations=AnnotationFileCitation| AnnotationURLCitation_2|
  AnnotationContainerFileCitation| AnnotationFilePath text type logprobs=Logprob
AnnotationFileCitation(file_citation): file_id filename index type
AnnotationURLCitation_2(url_citation): end_index start_index title type url
AnnotationContainerFileCitation(container_file_citation): container_id end_index file_id filename
  start_index type
AnnotationFilePath(file_path): file_id index type
Logprob: token bytes logprob top_logprobs=LogprobTopLogprob
LogprobTopLogprob: token bytes logprob
ResponseOutputRefusal(refusal): refusal type
ResponseFileSearchToolCall(file_search_call): id queries status type results=Result
Result: attributes file_id filename score text
ResponseFunctionToolCall(function_call): arguments call_id name type id async_<async
  caller=CallerDirect| CallerProgram namespace status
CallerDirect(direct): type
CallerProgram(program): caller_id type
ResponseFunctionToolCallOutputItem(function_call_output): id output=ResponseInputText|
  ResponseInputImage| ResponseInputFile status type call_id caller=CallerDirect_2| CallerProgram_2
  created_by name namespace
ResponseInputText(input_text): text type prompt_cache_breakpoint=PromptCacheBreakpoint
PromptCacheBreakpoint: mode ttl
ResponseInputImage(input_image): detail type file_id image_url
  prompt_cache_breakpoint=PromptCacheBreakpoint_2
PromptCacheBreakpoint_2: mode ttl
ResponseInputFile(input_file): type detail file_data file_id file_url filename
  prompt_cache_breakpoint=PromptCacheBreakpoint_3
PromptCacheBreakpoint_3: mode ttl
CallerDirect_2(direct): type
CallerProgram_2(program): caller_id type
ResponseFunctionWebSearch(web_search_call): id action=ActionSearch| ActionOpenPage| ActionFind
  status type
ActionSearch(search): type queries query sources=ActionSearchSource
ActionSearchSource(url): type url
ActionOpenPage(open_page): type url
ActionFind(find_in_page): pattern type url
ResponseComputerToolCall(computer_call): id call_id pending_safety_checks=PendingSafetyCheck
  status type action=ActionClick| ActionDoubleClick| ActionDrag| ActionKeypress| ActionMove|
  ActionScreenshot| ActionScroll| ActionType| ActionWait actions=Click| DoubleClick| Drag|
  Keypress| Move| Screenshot| Scroll| Type| Wait
PendingSafetyCheck: id code message
ActionClick(click): button type x y keys
ActionDoubleClick(double_click): keys type x y
ActionDrag(drag): path=ActionDragPath type keys
ActionDragPath: x y
ActionKeypress(keypress): keys type
ActionMove(move): type x y keys
ActionScreenshot(screenshot): type
ActionScroll(scroll): scroll_x scroll_y type x y keys
ActionType(type): text type
ActionWait(wait): type
Click(click): button type x y keys
DoubleClick(double_click): keys type x y
Drag(drag): path=DragPath type keys
DragPath: x y
Keypress(keypress): keys type
Move(move): type x y keys
Screenshot(screenshot): type
Scroll(scroll): scroll_x scroll_y type x y keys
Type(type): text type
Wait(wait): type
ResponseComputerToolCallOutputItem(computer_call_output): id call_id
  output=ResponseComputerToolCallOutputScreenshot status type
  acknowledged_safety_checks=AcknowledgedSafetyCheck created_by
ResponseComputerToolCallOutputScreenshot(computer_screenshot): type file_id image_url
AcknowledgedSafetyCheck: id code message
ResponseReasoningItem(reasoning): id summary=Summary type content=Content encrypted_content status
Summary(summary_text): text type
Content(reasoning_text): text type
Program(program): id call_id code fingerprint type
ProgramOutput(program_output): id call_id result status type
ResponseToolSearchCall(tool_search_call): id arguments call_id execution status type created_by
ResponseToolSearchOutputItem(tool_search_output): id call_id execution status tools=FunctionTool|
  FileSearchTool| ComputerTool| ComputerUsePreviewTool| WebSearchTool| Mcp| CodeInterpreter|
  ProgrammaticToolCalling| ImageGeneration| LocalShell| FunctionShellTool| CustomTool|
  NamespaceTool| ToolSearchTool| WebSearchPreviewTool| ApplyPatchTool type created_by
FunctionTool(function): name parameters strict type allowed_callers async_<async defer_loading
  description output_schema
FileSearchTool(file_search): type vector_store_ids filters=ComparisonFilter| CompoundFilter
  max_num_results ranking_options=RankingOptions
ComparisonFilter(eq, ne, gt, gte, lt, lte, in, nin): key type value
CompoundFilter(and, or): filters=ComparisonFilter type
RankingOptions: hybrid_search=RankingOptionsHybridSearch ranker score_threshold
RankingOptionsHybridSearch: embedding_weight text_weight
ComputerTool(computer): type
ComputerUsePreviewTool(computer_use_preview): display_height display_width environment type
WebSearchTool(web_search, web_search_2025_08_26): type external_web_access filters=Filters
  search_context_size user_location=UserLocation
Filters: allowed_domains
UserLocation: city country region timezone type
Mcp(mcp): server_label type allowed_callers allowed_tools=McpAllowedToolsMcpToolFilter
  authorization connector_id defer_loading headers
  require_approval=McpRequireApprovalMcpToolApprovalFilter server_description server_url tunnel_id
McpAllowedToolsMcpToolFilter: read_only tool_names
McpRequireApprovalMcpToolApprovalFilter: always=McpRequireApprovalMcpToolApprovalFilterAlways
  never=McpRequireApprovalMcpToolApprovalFilterNever
McpRequireApprovalMcpToolApprovalFilterAlways: read_only tool_names
McpRequireApprovalMcpToolApprovalFilterNever: read_only tool_names
CodeInterpreter(code_interpreter): container=CodeInterpreterContainerCodeInterpreterToolAuto type
  allowed_callers
CodeInterpreterContainerCodeInterpreterToolAuto(auto): type file_ids memory_limit
  network_policy=ContainerNetworkPolicyDisabled| ContainerNetworkPolicyAllowlist
ContainerNetworkPolicyDisabled(disabled): type
ContainerNetworkPolicyAllowlist(allowlist): allowed_domains type
  domain_secrets=ContainerNetworkPolicyDomainSecret
ContainerNetworkPolicyDomainSecret: domain name value
ProgrammaticToolCalling(programmatic_tool_calling): type
ImageGeneration(image_generation): type action background complexity frame_count frame_duration_ms
  input_fidelity input_image_mask=ImageGenerationInputImageMask model moderation
  output_compression output_format partial_images quality size svg=ImageGenerationSvg
ImageGenerationInputImageMask: file_id image_url
ImageGenerationSvg: model reasoning=ImageGenerationSvgReasoning
ImageGenerationSvgReasoning: effort
LocalShell(local_shell): type
FunctionShellTool(shell): type allowed_callers environment=ContainerAuto| LocalEnvironment|
  ContainerReference
ContainerAuto(container_auto): type file_ids memory_limit
  network_policy=ContainerNetworkPolicyDisabled| ContainerNetworkPolicyAllowlist
  skills=SkillReference| InlineSkill
SkillReference(skill_reference): skill_id type version
InlineSkill(inline): description name source=InlineSkillSource type
InlineSkillSource(base64): data media_type type
LocalEnvironment(local): type skills=LocalSkill
LocalSkill: description name path
ContainerReference(container_reference): container_id type
CustomTool(custom): name type allowed_callers async_<async defer_loading description format=Text|
  Grammar
Text(text): type
Grammar(grammar): definition syntax type
NamespaceTool(namespace): description name tools=ToolFunction| CustomTool type
ToolFunction(function): name type allowed_callers async_<async defer_loading description
  output_schema parameters strict
ToolSearchTool(tool_search): type description execution parameters
WebSearchPreviewTool(web_search_preview, web_search_preview_2025_03_11): type search_content_types
  search_context_size user_location=UserLocation_2
UserLocation_2(approximate): type city country region timezone
ApplyPatchTool(apply_patch): type allowed_callers
AdditionalTools(additional_tools): id role tools=FunctionTool| FileSearchTool| ComputerTool|
  ComputerUsePreviewTool| WebSearchTool| Mcp| CodeInterpreter| ProgrammaticToolCalling|
  ImageGeneration| LocalShell| FunctionShellTool| CustomTool| NamespaceTool| ToolSearchTool|
  WebSearchPreviewTool| ApplyPatchTool type
ResponseCompactionItem(compaction): id encrypted_content type created_by
ImageGenerationCall(image_generation_call): id result status type action background
  error=ImageGenerationCallError output_format quality revised_prompt size
  svg_usage=ImageGenerationCallSvgUsage
ImageGenerationCallError: code message param type
  moderation_details=ImageGenerationCallErrorModerationDetails
ImageGenerationCallErrorModerationDetails: categories moderation_stage
ImageGenerationCallSvgUsage: input_tokens model output_tokens reasoning_tokens total_tokens
ResponseCodeInterpreterToolCall(code_interpreter_call): id code container_id outputs=OutputLogs|
  OutputImage status type
OutputLogs(logs): logs type
OutputImage(image): type url
LocalShellCall(local_shell_call): id action=LocalShellCallAction call_id status type
LocalShellCallAction(exec): command env type timeout_ms user working_directory
LocalShellCallOutput(local_shell_call_output): id output type status
ResponseFunctionShellToolCall(shell_call): id action=Action call_id
  environment=ResponseLocalEnvironment| ResponseContainerReference status type
  caller=CallerDirect_3| CallerProgram_3 created_by
Action: commands max_output_length timeout_ms
ResponseLocalEnvironment(local): type
ResponseContainerReference(container_reference): container_id type
CallerDirect_3(direct): type
CallerProgram_3(program): caller_id type
ResponseFunctionShellToolCallOutput(shell_call_output): id call_id max_output_length output=Output
  status type caller=CallerDirect_4| CallerProgram_4 created_by
Output: outcome=OutputOutcomeTimeout| OutputOutcomeExit stderr stdout created_by
OutputOutcomeTimeout(timeout): type
OutputOutcomeExit(exit): exit_code type
CallerDirect_4(direct): type
CallerProgram_4(program): caller_id type
ResponseApplyPatchToolCall(apply_patch_call): id call_id operation=OperationCreateFile|
  OperationDeleteFile| OperationUpdateFile status type caller=CallerDirect_5| CallerProgram_5
  created_by
OperationCreateFile(create_file): diff path type
OperationDeleteFile(delete_file): path type
OperationUpdateFile(update_file): diff path type
CallerDirect_5(direct): type
CallerProgram_5(program): caller_id type
ResponseApplyPatchToolCallOutput(apply_patch_call_output): id call_id status type
  caller=CallerDirect_6| CallerProgram_6 created_by output
CallerDirect_6(direct): type
CallerProgram_6(program): caller_id type
McpCall(mcp_call): id arguments name server_label type approval_request_id error=McpProtocolError|
  McpToolExecutionError| HTTPError output status
McpProtocolError(mcp_protocol_error): code message type
McpToolExecutionError(mcp_tool_execution_error): content type
HTTPError(http_error): code message type
McpListTools(mcp_list_tools): id server_label tools=McpListToolsTool type error
McpListToolsTool: input_schema name annotations description
McpApprovalRequest(mcp_approval_request): id arguments name server_label type
McpApprovalResponse(mcp_approval_response): id approval_request_id approve type reason
ResponseCustomToolCall(custom_tool_call): call_id input name type id async_<async
  caller=CallerDirect_7| CallerProgram_7 namespace
CallerDirect_7(direct): type
CallerProgram_7(program): caller_id type
ResponseCustomToolCallOutputItem(custom_tool_call_output): call_id output=ResponseInputText|
  ResponseInputImage| ResponseInputFile type id caller=CallerDirect_8| CallerProgram_8 status
  created_by
CallerDirect_8(direct): type
CallerProgram_8(program): caller_id type
ToolChoiceAllowed(allowed_tools): mode tools type
ToolChoiceTypes(file_search, web_search_preview, computer, computer_use_preview, computer_use,
  web_search_preview_2025_03_11, image_generation, code_interpreter): type
ToolChoiceFunction(function): name type
ToolChoiceMcp(mcp): server_label type name
ToolChoiceCustom(custom): name type
ToolChoiceSpecificProgrammaticToolCallingParam(programmatic_tool_calling): type
ToolChoiceApplyPatch(apply_patch): type
ToolChoiceShell(shell): type
Conversation: id
Image: context_compression
InputTransformation(reasoning): id action reason type
Moderation_3: input=ModerationInputModerationResult| ModerationInputError_3
  output=ModerationOutputModerationResult| ModerationOutputError_3
ModerationInputModerationResult(moderation_result): categories category_applied_input_types
  category_scores flagged model type
ModerationInputError_3(error): code message type
ModerationOutputModerationResult(moderation_result): categories category_applied_input_types
  category_scores flagged model type
ModerationOutputError_3(error): code message type
ResponsePrompt: id variables version
PromptCacheDiagnosticsCacheMiss(cache_miss): cache_missed_tokens reason type
  comparison_reusable_tokens
PromptCacheDiagnosticsCacheHit(cache_hit): type
PromptCacheDiagnosticsComparisonResponseNotFound(comparison_response_not_found): type
PromptCacheDiagnosticsUnavailable(unavailable): type
PromptCacheOptions: mode ttl comparison_response_id
Reasoning: context effort generate_summary mode summary
ResponseTextConfig: format=ResponseFormatText| ResponseFormatTextJSONSchemaConfig|
  ResponseFormatJSONObject verbosity
ResponseFormatText(text): type
ResponseFormatTextJSONSchemaConfig(json_schema): name schema_<schema type description strict
ResponseFormatJSONObject(json_object): type
ToolUsage: image_gen=ToolUsageImageGen web_search=ToolUsageWebSearch
ToolUsageImageGen: input_tokens input_tokens_details=ToolUsageImageGenInputTokensDetails
  output_tokens total_tokens cached_tokens
  cached_tokens_details=ToolUsageImageGenCachedTokensDetails
  output_tokens_details=ToolUsageImageGenOutputTokensDetails
ToolUsageImageGenInputTokensDetails: image_tokens text_tokens
ToolUsageImageGenCachedTokensDetails: cached_image_tokens cached_text_tokens
ToolUsageImageGenOutputTokensDetails: image_tokens text_tokens
ToolUsageWebSearch: num_requests
ResponseUsage: input_tokens input_tokens_details=InputTokensDetails output_tokens
  output_tokens_details=OutputTokensDetails total_tokens
InputTokensDetails: cache_write_tokens cached_tokens
  cache_write_tokens_details=InputTokensDetailsCacheWriteTokensDetails
InputTokensDetailsCacheWriteTokensDetails: ttl_12h_tokens ttl_30m_tokens
OutputTokensDetails: reasoning_tokens
ResponseAudioDeltaEvent(response.audio.delta): delta sequence_number type
ResponseAudioDoneEvent(response.audio.done): sequence_number type
ResponseAudioTranscriptDeltaEvent(response.audio.transcript.delta): delta sequence_number type
ResponseAudioTranscriptDoneEvent(response.audio.transcript.done): sequence_number type
ResponseCodeInterpreterCallCodeDeltaEvent(response.code_interpreter_call_code.delta): delta
  item_id output_index sequence_number type
ResponseCodeInterpreterCallCodeDoneEvent(response.code_interpreter_call_code.done): code item_id
  output_index sequence_number type
ResponseCodeInterpreterCallCompletedEvent(response.code_interpreter_call.completed): item_id
  output_index sequence_number type
ResponseCodeInterpreterCallInProgressEvent(response.code_interpreter_call.in_progress): item_id
  output_index sequence_number type
ResponseCodeInterpreterCallInterpretingEvent(response.code_interpreter_call.interpreting): item_id
  output_index sequence_number type
ResponseCompactionCompactingEvent(response.compaction.compacting): item_id output_index
  sequence_number type
ResponseCompletedEvent(response.completed): response=Response sequence_number type
ResponseContentPartAddedEvent(response.content_part.added): content_index item_id output_index
  part=ResponseOutputText| ResponseOutputRefusal| PartReasoningText sequence_number type
PartReasoningText(reasoning_text): text type
ResponseContentPartDoneEvent(response.content_part.done): content_index item_id output_index
  part=ResponseOutputText| ResponseOutputRefusal| PartReasoningText_2 sequence_number type
PartReasoningText_2(reasoning_text): text type
ResponseCreatedEvent(response.created): response=Response sequence_number type
ResponseErrorEvent(error): code message param sequence_number type
ResponseFileSearchCallCompletedEvent(response.file_search_call.completed): item_id output_index
  sequence_number type
ResponseFileSearchCallInProgressEvent(response.file_search_call.in_progress): item_id output_index
  sequence_number type
ResponseFileSearchCallSearchingEvent(response.file_search_call.searching): item_id output_index
  sequence_number type
ResponseFunctionCallArgumentsDeltaEvent(response.function_call_arguments.delta): delta item_id
  output_index sequence_number type
ResponseFunctionCallArgumentsDoneEvent(response.function_call_arguments.done): arguments item_id
  output_index sequence_number type
ResponseShellCallCommandAddedEvent(response.shell_call_command.added): command command_index
  output_index sequence_number type
ResponseShellCallCommandDeltaEvent(response.shell_call_command.delta): command_index delta
  output_index sequence_number type obfuscation
ResponseShellCallCommandDoneEvent(response.shell_call_command.done): command command_index
  output_index sequence_number type
ResponseShellCallOutputContentDeltaEvent(response.shell_call_output_content.delta): command_index
  delta=Delta item_id output_index sequence_number type
Delta: stderr stdout
ResponseShellCallOutputContentDoneEvent(response.shell_call_output_content.done): command_index
  item_id output=Output_2 output_index sequence_number type
Output_2: outcome=OutputOutcomeTimeout_2| OutputOutcomeExit_2 stderr stdout created_by
OutputOutcomeTimeout_2(timeout): type
OutputOutcomeExit_2(exit): exit_code type
ResponseInProgressEvent(response.in_progress): response=Response sequence_number type
ResponseFailedEvent(response.failed): response=Response sequence_number type
ResponseIncompleteEvent(response.incomplete): response=Response sequence_number type
ResponseOutputItemAddedEvent(response.output_item.added): item=ResponseOutputMessage|
  ResponseFileSearchToolCall| ResponseFunctionToolCall| ResponseFunctionToolCallOutputItem|
  ResponseFunctionWebSearch| ResponseComputerToolCall| ResponseComputerToolCallOutputItem|
  ResponseReasoningItem| Program| ProgramOutput| ResponseToolSearchCall|
  ResponseToolSearchOutputItem| AdditionalTools| ResponseCompactionItem| ImageGenerationCall|
  ResponseCodeInterpreterToolCall| LocalShellCall| LocalShellCallOutput|
  ResponseFunctionShellToolCall| ResponseFunctionShellToolCallOutput| ResponseApplyPatchToolCall|
  ResponseApplyPatchToolCallOutput| McpCall| McpListTools| McpApprovalRequest|
  McpApprovalResponse| ResponseCustomToolCall| ResponseCustomToolCallOutputItem output_index
  sequence_number type
ResponseOutputItemDoneEvent(response.output_item.done): item=ResponseOutputMessage|
  ResponseFileSearchToolCall| ResponseFunctionToolCall| ResponseFunctionToolCallOutputItem|
  ResponseFunctionWebSearch| ResponseComputerToolCall| ResponseComputerToolCallOutputItem|
  ResponseReasoningItem| Program| ProgramOutput| ResponseToolSearchCall|
  ResponseToolSearchOutputItem| AdditionalTools| ResponseCompactionItem| ImageGenerationCall|
  ResponseCodeInterpreterToolCall| LocalShellCall| LocalShellCallOutput|
  ResponseFunctionShellToolCall| ResponseFunctionShellToolCallOutput| ResponseApplyPatchToolCall|
  ResponseApplyPatchToolCallOutput| McpCall| McpListTools| McpApprovalRequest|
  McpApprovalResponse| ResponseCustomToolCall| ResponseCustomToolCallOutputItem output_index
  sequence_number type
ResponseReasoningSummaryPartAddedEvent(response.reasoning_summary_part.added): item_id
  output_index part=Part sequence_number summary_index type
Part(summary_text): text type
ResponseReasoningSummaryPartDoneEvent(response.reasoning_summary_part.done): item_id output_index
  part=Part_2 sequence_number summary_index type status
Part_2(summary_text): text type
ResponseReasoningSummaryTextDeltaEvent(response.reasoning_summary_text.delta): delta item_id
  output_index sequence_number summary_index type
ResponseReasoningSummaryTextDoneEvent(response.reasoning_summary_text.done): item_id output_index
  sequence_number summary_index text type
ResponseReasoningTextDeltaEvent(response.reasoning_text.delta): content_index delta item_id
  output_index sequence_number type
ResponseReasoningTextDoneEvent(response.reasoning_text.done): content_index item_id output_index
  sequence_number text type
ResponseRefusalDeltaEvent(response.refusal.delta): content_index delta item_id output_index
  sequence_number type
ResponseRefusalDoneEvent(response.refusal.done): content_index item_id output_index refusal
  sequence_number type
ResponseTextDeltaEvent(response.output_text.delta): content_index delta item_id logprobs=Logprob_2
  output_index sequence_number type
Logprob_2: token logprob top_logprobs=LogprobTopLogprob_2
LogprobTopLogprob_2: token logprob
ResponseTextDoneEvent(response.output_text.done): content_index item_id logprobs=Logprob_3
  output_index sequence_number text type
Logprob_3: token logprob top_logprobs=LogprobTopLogprob_3
LogprobTopLogprob_3: token logprob
ResponseWebSearchCallCompletedEvent(response.web_search_call.completed): item_id output_index
  sequence_number type
ResponseWebSearchCallInProgressEvent(response.web_search_call.in_progress): item_id output_index
  sequence_number type
ResponseWebSearchCallSearchingEvent(response.web_search_call.searching): item_id output_index
  sequence_number type
ResponseImageGenCallCompletedEvent(response.image_generation_call.completed): item_id output_index
  sequence_number type
ResponseImageGenCallGeneratingEvent(response.image_generation_call.generating): item_id
  output_index sequence_number type
ResponseImageGenCallInProgressEvent(response.image_generation_call.in_progress): item_id
  output_index sequence_number type
ResponseImageGenCallPartialImageEvent(response.image_generation_call.partial_image): item_id
  output_index partial_image_b64 partial_image_index sequence_number type background output_format
  quality size
ResponseMcpCallArgumentsDeltaEvent(response.mcp_call_arguments.delta): delta item_id output_index
  sequence_number type
ResponseMcpCallArgumentsDoneEvent(response.mcp_call_arguments.done): arguments item_id
  output_index sequence_number type
ResponseMcpCallCompletedEvent(response.mcp_call.completed): item_id output_index sequence_number
  type
ResponseMcpCallFailedEvent(response.mcp_call.failed): item_id output_index sequence_number type
ResponseMcpCallInProgressEvent(response.mcp_call.in_progress): item_id output_index
  sequence_number type
ResponseMcpListToolsCompletedEvent(response.mcp_list_tools.completed): item_id output_index
  sequence_number type
ResponseMcpListToolsFailedEvent(response.mcp_list_tools.failed): item_id output_index
  sequence_number type
ResponseMcpListToolsInProgressEvent(response.mcp_list_tools.in_progress): item_id output_index
  sequence_number type
ResponseOutputTextAnnotationAddedEvent(response.output_text.annotation.added):
  annotation=AnnotationFileCitation_2| AnnotationURLCitation_3| AnnotationContainerFileCitation_2|
  AnnotationFilePath_2 annotation_index content_index item_id output_index sequence_number type
AnnotationFileCitation_2(file_citation): file_id filename index type
AnnotationURLCitation_3(url_citation): end_index start_index title type url
AnnotationContainerFileCitation_2(container_file_citation): container_id end_index file_id
  filename start_index type
AnnotationFilePath_2(file_path): file_id index type
ResponseQueuedEvent(response.queued): response=Response sequence_number type
ResponseCustomToolCallInputDeltaEvent(response.custom_tool_call_input.delta): delta item_id
  output_index sequence_number type
ResponseCustomToolCallInputDoneEvent(response.custom_tool_call_input.done): input item_id
  output_index sequence_number type
ResponseStreamEvent = ResponseAudioDeltaEvent| ResponseAudioDoneEvent|
  ResponseAudioTranscriptDeltaEvent| ResponseAudioTranscriptDoneEvent|
  ResponseCodeInterpreterCallCodeDeltaEvent| ResponseCodeInterpreterCallCodeDoneEvent|
  ResponseCodeInterpreterCallCompletedEvent| ResponseCodeInterpreterCallInProgressEvent|
  ResponseCodeInterpreterCallInterpretingEvent| ResponseCompactionCompactingEvent|
  ResponseCompletedEvent| ResponseContentPartAddedEvent| ResponseContentPartDoneEvent|
  ResponseCreatedEvent| ResponseErrorEvent| ResponseFileSearchCallCompletedEvent|
  ResponseFileSearchCallInProgressEvent| ResponseFileSearchCallSearchingEvent|
  ResponseFunctionCallArgumentsDeltaEvent| ResponseFunctionCallArgumentsDoneEvent|
  ResponseShellCallCommandAddedEvent| ResponseShellCallCommandDeltaEvent|
  ResponseShellCallCommandDoneEvent| ResponseShellCallOutputContentDeltaEvent|
  ResponseShellCallOutputContentDoneEvent| ResponseInProgressEvent| ResponseFailedEvent|
  ResponseIncompleteEvent| ResponseOutputItemAddedEvent| ResponseOutputItemDoneEvent|
  ResponseReasoningSummaryPartAddedEvent| ResponseReasoningSummaryPartDoneEvent|
  ResponseReasoningSummaryTextDeltaEvent| ResponseReasoningSummaryTextDoneEvent|
  ResponseReasoningTextDeltaEvent| ResponseReasoningTextDoneEvent| ResponseRefusalDeltaEvent|
  ResponseRefusalDoneEvent| ResponseTextDeltaEvent| ResponseTextDoneEvent|
  ResponseWebSearchCallCompletedEvent| ResponseWebSearchCallInProgressEvent|
  ResponseWebSearchCallSearchingEvent| ResponseImageGenCallCompletedEvent|
  ResponseImageGenCallGeneratingEvent| ResponseImageGenCallInProgressEvent|
  ResponseImageGenCallPartialImageEvent| ResponseMcpCallArgumentsDeltaEvent|
  ResponseMcpCallArgumentsDoneEvent| ResponseMcpCallCompletedEvent| ResponseMcpCallFailedEvent|
  ResponseMcpCallInProgressEvent| ResponseMcpListToolsCompletedEvent|
  ResponseMcpListToolsFailedEvent| ResponseMcpListToolsInProgressEvent|
  ResponseOutputTextAnnotationAddedEvent| ResponseQueuedEvent|
  ResponseCustomToolCallInputDeltaEvent| ResponseCustomToolCallInputDoneEvent
"""
